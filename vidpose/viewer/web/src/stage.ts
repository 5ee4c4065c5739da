// The 3D scene: floor, people, trails, the camera; and from where one looks at it.

import * as THREE from "three";
import { OrbitControls } from "three/addons/controls/OrbitControls.js";
import { Bodies } from "./bodies";
import type { Point, Recording } from "./recording";
import { Floor, frustum } from "./surroundings";
import { Trails } from "./trails";

const FIELD_OF_VIEW = 32;
const MARGIN = 1.06;
const CAMERA_VIEW = "camera";

export interface SceneColours {
  sky: string;
  floor: string;
  grid: string;
  ink: string;
}

function drawsInSoftware(): boolean {
  const context = document.createElement("canvas").getContext("webgl2");
  const about = context?.getExtension("WEBGL_debug_renderer_info");
  const name = about ? String(context!.getParameter(about.UNMASKED_RENDERER_WEBGL)) : "";
  context?.getExtension("WEBGL_lose_context")?.loseContext();
  return /swiftshader|llvmpipe|basic render|software/i.test(name);
}

export class Stage {
  readonly trails: Trails;
  readonly camera = new THREE.PerspectiveCamera(FIELD_OF_VIEW, 1, 0.05, 500);
  private readonly renderer: THREE.WebGLRenderer;
  private readonly scene = new THREE.Scene();
  private readonly controls: OrbitControls;
  private readonly bodies: Bodies[];
  private readonly floor: Floor;
  private readonly frustum: THREE.Group;
  private readonly eye = new THREE.Vector3();
  private cameraShown = false;
  private view = "three-quarter";
  private frame = 0;

  constructor(
    private readonly canvas: HTMLCanvasElement,
    private readonly recording: Recording,
    changed: () => void,
    turned: () => void,
  ) {
    // Smooth edges double the work of a processor that draws by itself.
    const antialias = !drawsInSoftware();
    this.renderer = new THREE.WebGLRenderer({ canvas, antialias, stencil: true });
    this.camera.up.set(0, 0, 1);
    this.floor = new Floor(recording.header);
    this.frustum = frustum(recording.header);
    this.bodies = recording.people.map((person) => new Bodies(recording.header, person));
    this.trails = new Trails(recording);
    this.scene.add(this.floor.object, this.frustum, this.trails.object);
    for (const body of this.bodies) this.scene.add(body.object);
    const sun = new THREE.DirectionalLight(0xffffff, 1.5);
    sun.position.set(-2, -3, 5);
    this.scene.add(new THREE.HemisphereLight(0xffffff, 0xb9c2d0, 2.0), sun);

    this.controls = new OrbitControls(this.camera, canvas);
    this.controls.maxPolarAngle = Math.PI * 0.52;
    this.controls.addEventListener("change", changed);
    this.controls.addEventListener("start", turned);
    this.eye.setFromMatrixPosition(this.frustum.matrix);
    this.look(this.view);
  }

  /** Turn to a view of `header.views`, or to where the video was taken from. */
  look(view: string): void {
    this.view = view;
    const { box_m, views, camera } = this.recording.header;
    const [low, high] = box_m.map((corner) => new THREE.Vector3(...corner));
    const middle = low.clone().add(high).multiplyScalar(0.5);
    if (view === CAMERA_VIEW) {
      const ahead = new THREE.Vector3(0, 0, 1).transformDirection(this.frustum.matrix);
      const distance = Math.max(1, middle.clone().sub(this.eye).dot(ahead));
      const [width, height] = camera.frame_size;
      const tall = Math.max(height, width / this.camera.aspect);
      this.camera.fov = THREE.MathUtils.radToDeg(2 * Math.atan(tall / 2 / camera.focal_px));
      this.camera.position.copy(this.eye);
      this.controls.target.copy(this.eye).addScaledVector(ahead, distance);
    } else {
      if (this.cameraShown) {
        low.min(this.eye);
        high.max(this.eye);
        middle.copy(low).add(high).multiplyScalar(0.5);
      }
      const [azimuth, elevation] = views[view].map(THREE.MathUtils.degToRad);
      // Straight from above, "up" would have no direction in the picture.
      const tilt = Math.min(elevation, Math.PI / 2 - 1e-3);
      const towards = new THREE.Vector3(
        Math.sin(azimuth) * Math.cos(tilt),
        -Math.cos(azimuth) * Math.cos(tilt),
        Math.sin(tilt),
      );
      this.camera.fov = FIELD_OF_VIEW;
      this.camera.position.copy(middle).addScaledVector(towards, this.fit(low, high, towards));
      this.controls.target.copy(middle);
    }
    this.camera.updateProjectionMatrix();
    this.controls.update();
  }

  /** How far away the viewer has to be for a box to be in the picture, metres. */
  private fit(low: THREE.Vector3, high: THREE.Vector3, towards: THREE.Vector3): number {
    const middle = low.clone().add(high).multiplyScalar(0.5);
    const right = new THREE.Vector3(0, 0, 1).cross(towards).normalize();
    const up = towards.clone().cross(right);
    const tall = Math.tan(THREE.MathUtils.degToRad(FIELD_OF_VIEW) / 2);
    const wide = tall * this.camera.aspect;
    let distance = 1;
    for (let corner = 0; corner < 8; corner++) {
      const at = new THREE.Vector3(
        (corner & 1 ? high : low).x,
        (corner & 2 ? high : low).y,
        (corner & 4 ? high : low).z,
      ).sub(middle);
      const needed = Math.max(Math.abs(at.dot(right)) / wide, Math.abs(at.dot(up)) / tall);
      distance = Math.max(distance, needed * MARGIN + at.dot(towards));
    }
    return distance;
  }

  paint(colours: SceneColours): void {
    this.scene.background = new THREE.Color(colours.sky);
    this.floor.paint(colours.sky, colours.floor, colours.grid);
    this.frustum.traverse((part) => {
      const { material } = part as THREE.Mesh<THREE.BufferGeometry, THREE.MeshBasicMaterial>;
      material?.color.set(colours.ink);
    });
    this.trails.fadeTo(colours.sky);
    for (const body of this.bodies) body.paleTo(colours.sky);
    this.show(this.frame);
  }

  show(frame: number): void {
    this.frame = frame;
    for (const body of this.bodies) body.show(frame);
    this.trails.show(frame);
  }

  showPerson(index: number, visible: boolean): void {
    this.bodies[index].visible = visible;
    this.trails.visible[index] = visible;
    this.show(this.frame);
  }

  /** Show where the camera stood, and move back until it is in the picture. */
  showCamera(visible: boolean): void {
    this.cameraShown = visible;
    this.look(this.view);
  }

  /** Fit the drawing to its place on the page; true if that has changed. */
  resize(): boolean {
    const { clientWidth: width, clientHeight: height } = this.canvas;
    const ratio = Math.min(window.devicePixelRatio, 2);
    const size = this.renderer.getSize(new THREE.Vector2());
    if (!width || !height) return false;
    if (size.x === width && size.y === height && this.renderer.getPixelRatio() === ratio)
      return false;
    this.renderer.setPixelRatio(ratio);
    this.renderer.setSize(width, height, false);
    const before = this.camera.aspect;
    this.camera.aspect = width / height;
    this.camera.updateProjectionMatrix();
    this.trails.resize(width, height);
    if (Math.abs(before - this.camera.aspect) > 0.01) this.look(this.view);
    return true;
  }

  render(): void {
    // From inside the camera there is nothing of it to see.
    this.frustum.visible = this.cameraShown && this.camera.position.distanceTo(this.eye) > 0.3;
    this.renderer.render(this.scene, this.camera);
  }

  /** Where a point of the scene is on the canvas, CSS pixels. */
  project(point: Point): [number, number] {
    this.camera.updateMatrixWorld();
    const at = new THREE.Vector3(...point).project(this.camera);
    const { clientWidth, clientHeight } = this.canvas;
    return [((at.x + 1) / 2) * clientWidth, ((1 - at.y) / 2) * clientHeight];
  }
}
