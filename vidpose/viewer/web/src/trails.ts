// Where joints have been in the last seconds, as lines that fade.

import * as THREE from "three";
import { LineMaterial } from "three/addons/lines/LineMaterial.js";
import { LineSegments2 } from "three/addons/lines/LineSegments2.js";
import { LineSegmentsGeometry } from "three/addons/lines/LineSegmentsGeometry.js";
import type { Point, Recording } from "./recording";

const SECONDS = 1.5;
const SEGMENTS = 45;
const MOST_JOINTS = 2;
const WIDTH_PX = 2.5;

/** The choices of the page, by the joints' names. */
export const TRAILS: Record<string, string[]> = {
  none: [],
  hip: ["Hip"],
  hands: ["LWrist", "RWrist"],
  feet: ["LFoot", "RFoot"],
  head: ["Head"],
};

export class Trails {
  readonly object: LineSegments2;
  readonly visible: boolean[];
  private joints: number[] = [];
  private readonly sky = new THREE.Color();
  private readonly places: Float32Array;
  private readonly colours: Float32Array;

  constructor(private readonly recording: Recording) {
    this.visible = recording.people.map(() => true);
    const segments = recording.people.length * MOST_JOINTS * SEGMENTS;
    this.places = new Float32Array(segments * 6);
    this.colours = new Float32Array(segments * 6);
    const geometry = new LineSegmentsGeometry();
    geometry.setPositions(this.places);
    geometry.setColors(this.colours);
    const material = new LineMaterial({ linewidth: WIDTH_PX, vertexColors: true });
    this.object = new LineSegments2(geometry, material);
    this.object.frustumCulled = false;
    this.choose("hip");
  }

  choose(name: string): void {
    const names = this.recording.header.joint_names;
    this.joints = TRAILS[name].map((joint) => names.indexOf(joint));
  }

  fadeTo(sky: string): void {
    this.sky.set(sky);
  }

  resize(width: number, height: number): void {
    this.object.material.resolution.set(width, height);
  }

  show(frame: number): void {
    const { times, people, header } = this.recording;
    let segment = 0;
    people.forEach((person, p) => {
      if (!this.visible[p] || !person.present(frame)) return;
      const first = this.recording.frameAt(times[frame] - SECONDS);
      const stride = Math.max(1, Math.ceil((frame - first) / SEGMENTS));
      for (const joint of this.joints) {
        shade.set(person.colours[header.joint_sides[joint]]);
        for (let to = frame; to - stride >= first; to -= stride) {
          const from = to - stride;
          if (!person.placed(from) || !person.placed(to)) break;
          this.write(segment++, person.joint(from, joint, a), person.joint(to, joint, b), [
            1 - (times[frame] - times[from]) / SECONDS,
            1 - (times[frame] - times[to]) / SECONDS,
          ]);
        }
      }
    });
    const geometry = this.object.geometry;
    geometry.instanceCount = segment;
    this.object.visible = segment > 0;
    for (const name of ["instanceStart", "instanceColorStart"])
      (geometry.attributes[name] as THREE.InterleavedBufferAttribute).data.needsUpdate = true;
  }

  private write(segment: number, from: Point, to: Point, strength: [number, number]): void {
    this.places.set(from, segment * 6);
    this.places.set(to, segment * 6 + 3);
    strength.forEach((amount, end) => {
      const colour = mixed.copy(this.sky).lerp(shade, Math.max(amount, 0));
      this.colours.set([colour.r, colour.g, colour.b], segment * 6 + end * 3);
    });
  }
}

const shade = new THREE.Color();
const mixed = new THREE.Color();
const a: Point = [0, 0, 0];
const b: Point = [0, 0, 0];
