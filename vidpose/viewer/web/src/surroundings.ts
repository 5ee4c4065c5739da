// What does not move: the floor with its grid, and the camera that took the video.

import * as THREE from "three";
import type { Header } from "./recording";

const FRUSTUM_M = 0.5;
const REACH = 2.4;

const PLAIN = new THREE.ShaderMaterial({
  vertexShader: `
    attribute vec3 colour;
    varying vec3 shade;
    void main() {
      shade = colour;
      gl_Position = projectionMatrix * modelViewMatrix * vec4(position, 1.0);
    }`,
  fragmentShader: `
    varying vec3 shade;
    void main() {
      gl_FragColor = vec4(shade, 1.0);
    }`,
  side: THREE.DoubleSide,
  depthWrite: false, // floor and lines lie in one plane: they are drawn in turn, before all else
});

/** A floor with a grid of one metre, which fades into the sky around the people.

It fills most of the picture, so its pixels must be cheap where there is no graphics card: colours
stand at its corners, as the display wants them. */
export class Floor {
  readonly object = new THREE.Group();
  private readonly disc: THREE.BufferGeometry;
  private readonly grid: THREE.BufferGeometry;
  private readonly middle: THREE.Vector2;
  private readonly radius: number;

  constructor(header: Header) {
    const [low, high] = header.box_m;
    this.radius = Math.max(2.5, Math.hypot(high[0] - low[0], high[1] - low[1]) / 2) * REACH;
    this.middle = new THREE.Vector2((low[0] + high[0]) / 2, (low[1] + high[1]) / 2);
    this.disc = new THREE.RingGeometry(0, this.radius, 48, 24);
    this.disc.translate(this.middle.x, this.middle.y, 0);
    this.grid = new THREE.BufferGeometry().setFromPoints(this.lines());
    const ground = new THREE.Mesh(this.disc, PLAIN);
    const lines = new THREE.LineSegments(this.grid, PLAIN);
    [ground.renderOrder, lines.renderOrder] = [-2, -1];
    this.object.add(ground, lines);
    this.object.position.z = header.floor_m;
  }

  /** Lines on whole metres, in pieces of a metre so that they can fade. */
  private lines(): THREE.Vector3[] {
    const { middle, radius } = this;
    const points: THREE.Vector3[] = [];
    const reach = Math.ceil(radius);
    for (let line = -reach; line <= reach; line++)
      for (let piece = -reach; piece < reach; piece++) {
        const [x, y] = [Math.round(middle.x), Math.round(middle.y)];
        if (Math.hypot(line, piece) > radius) continue;
        points.push(new THREE.Vector3(x + line, y + piece, 0));
        points.push(new THREE.Vector3(x + line, y + piece + 1, 0));
        points.push(new THREE.Vector3(x + piece, y + line, 0));
        points.push(new THREE.Vector3(x + piece + 1, y + line, 0));
      }
    return points;
  }

  paint(sky: string, floor: string, grid: string): void {
    for (const [geometry, colour] of [
      [this.disc, floor],
      [this.grid, grid],
    ] as const) {
      const at = geometry.attributes.position;
      const colours = new Float32Array(at.count * 3);
      const [near, far] = [new THREE.Color(colour), new THREE.Color(sky)];
      for (let i = 0; i < at.count; i++) {
        const away = Math.hypot(at.getX(i) - this.middle.x, at.getY(i) - this.middle.y);
        const fading = THREE.MathUtils.smoothstep(away / this.radius, 0.4, 0.95);
        near.clone().lerp(far, fading).convertLinearToSRGB().toArray(colours, i * 3);
      }
      geometry.setAttribute("colour", new THREE.BufferAttribute(colours, 3));
    }
  }
}

/** The camera, as the pyramid of what it sees. */
export function frustum(header: Header): THREE.Group {
  const { focal_px, frame_size, to_scene } = header.camera;
  const [right, down] = frame_size.map((pixels) => ((pixels / 2) * FRUSTUM_M) / focal_px);
  const eye = [0, 0, 0];
  const corners = [
    [-right, -down, FRUSTUM_M],
    [right, -down, FRUSTUM_M],
    [right, down, FRUSTUM_M],
    [-right, down, FRUSTUM_M],
  ];
  const above = [0, -down * 1.35, FRUSTUM_M];
  const lines = [
    ...corners.flatMap((corner, i) => [eye, corner, corner, corners[(i + 1) % 4]]),
    ...[corners[0], above, above, corners[1]],
  ];
  const outline = new THREE.LineSegments(
    new THREE.BufferGeometry().setFromPoints(lines.map((at) => new THREE.Vector3(...at))),
    new THREE.LineBasicMaterial({ transparent: true, opacity: 0.75 }),
  );
  const picture = new THREE.Mesh(
    new THREE.PlaneGeometry(2 * right, 2 * down).translate(0, 0, FRUSTUM_M),
    new THREE.MeshBasicMaterial({
      transparent: true,
      opacity: 0.12,
      depthWrite: false,
      side: THREE.DoubleSide,
    }),
  );
  const group = new THREE.Group();
  group.add(outline, picture);
  group.matrixAutoUpdate = false;
  group.matrix.set(...(to_scene.flat() as Parameters<THREE.Matrix4["set"]>));
  return group;
}
