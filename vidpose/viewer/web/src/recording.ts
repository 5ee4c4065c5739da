// What the page holds: the recording, as vidpose/viewer/packing.py packs it.

export type Point = [number, number, number];

export interface Moment {
  time_s: number;
  from_s: number;
  to_s: number;
  person: number;
  text: string;
}

interface Block {
  name: string;
  type: "float32" | "int16" | "uint8";
  values: number;
}

export interface Header {
  title: string;
  facts: [string, string][];
  has_world: boolean;
  joint_names: string[];
  joint_labels: string[];
  parents: number[];
  sides: number[];
  joint_sides: number[];
  bone_radii_m: number[];
  head: { joints: [number, number]; radius_m: number };
  interpolated: { thin: number; paler: number };
  overlay: { sure_score: number; faint: number; sure_outside: number };
  floor_m: number;
  box_m: [Point, Point];
  views: Record<string, [number, number]>;
  camera: { to_scene: number[][]; focal_px: number; frame_size: [number, number] };
  fps: number;
  steps: { joints_m: number; keypoints_px: number; angles_deg: number };
  angle_names: string[];
  blocks: Block[];
  people: { id: number; first: number; frames: number; colours: [string, string, string] }[];
  moments: Moment[];
  video: null | { embedded: boolean; src: string | null; start_s: number };
}

const ARRAYS = { float32: Float32Array, int16: Int16Array, uint8: Uint8Array };
const UNKNOWN = -32768;
const PRESENT = 1;
const OBSERVED = 2;
const PLACED = 4;

function bytesOf(id: string): ArrayBuffer {
  const text = document.getElementById(id)!.textContent!;
  const binary = atob(text.trim());
  const bytes = new Uint8Array(binary.length);
  for (let i = 0; i < binary.length; i++) bytes[i] = binary.charCodeAt(i);
  return bytes.buffer;
}

/** One person, from the first frame in which they are present to the last. */
export class Person {
  readonly id: number;
  readonly colours: [string, string, string];
  readonly first: number;
  readonly end: number;
  private readonly root: Float32Array;
  private readonly joints: Int16Array;
  private readonly keypoints: Int16Array;
  private readonly angles: Int16Array;
  private readonly scores: Uint8Array;
  private readonly flags: Uint8Array;

  constructor(
    private readonly header: Header,
    index: number,
  ) {
    const about = header.people[index];
    this.id = about.id;
    this.colours = about.colours;
    this.first = about.first;
    this.end = about.first + about.frames;
    const buffer = bytesOf(`vidpose-person-${index}`);
    const blocks: Record<string, ArrayBufferView> = {};
    let offset = 0;
    for (const { name, type, values } of header.blocks) {
      const view = new ARRAYS[type](buffer, offset, about.frames * values);
      blocks[name] = view;
      offset += view.byteLength;
    }
    this.root = blocks.root as Float32Array;
    this.joints = blocks.joints as Int16Array;
    this.keypoints = blocks.keypoints as Int16Array;
    this.angles = blocks.angles as Int16Array;
    this.scores = blocks.scores as Uint8Array;
    this.flags = blocks.flags as Uint8Array;
  }

  private has(frame: number, flag: number): boolean {
    return frame >= this.first && frame < this.end && (this.flags[frame - this.first] & flag) > 0;
  }

  present(frame: number): boolean {
    return this.has(frame, PRESENT);
  }

  observed(frame: number): boolean {
    return this.has(frame, OBSERVED);
  }

  /** Whether it is known where the person is; else they are drawn where they may be. */
  placed(frame: number): boolean {
    return this.has(frame, PLACED);
  }

  /** Metres, scene axes (x right, y away from the camera, z up), of a person who is present. */
  joint(frame: number, joint: number, out: Point = [0, 0, 0]): Point {
    const t = frame - this.first;
    const at = (t * this.header.joint_names.length + joint) * 3;
    const step = this.header.steps.joints_m;
    for (let axis = 0; axis < 3; axis++)
      out[axis] = this.root[t * 3 + axis] + this.joints[at + axis] * step;
    return out;
  }

  /** Pixels of the result's frame, or null where the joint is unknown. */
  keypoint(frame: number, joint: number): [number, number] | null {
    const at = ((frame - this.first) * this.header.joint_names.length + joint) * 2;
    if (this.keypoints[at] === UNKNOWN) return null;
    const step = this.header.steps.keypoints_px;
    return [this.keypoints[at] * step, this.keypoints[at + 1] * step];
  }

  /** Whether nobody can have seen a joint: it has no place in the picture, and is made up in 3D. */
  unseen(frame: number, joint: number): boolean {
    const place = this.keypoint(frame, joint);
    if (place === null || this.score(frame, joint) === 0) return true;
    const { overlay, camera } = this.header;
    const outside = place.some((at, axis) => at < 0 || at > camera.frame_size[axis] - 1);
    return outside && this.score(frame, joint) < overlay.sure_outside;
  }

  /** Degrees; NaN where it is not defined. */
  angle(frame: number, angle: number): number {
    if (!this.present(frame)) return NaN;
    const value = this.angles[(frame - this.first) * this.header.angle_names.length + angle];
    return value === UNKNOWN ? NaN : value * this.header.steps.angles_deg;
  }

  /** The detector's confidence in a joint, 0 to 1. */
  score(frame: number, joint: number): number {
    return this.scores[(frame - this.first) * this.header.joint_names.length + joint] / 255;
  }

  /** The mean over all joints. */
  confidence(frame: number): number {
    const joints = this.header.joint_names.length;
    let sum = 0;
    for (let joint = 0; joint < joints; joint++) sum += this.score(frame, joint);
    return sum / joints;
  }
}

export class Recording {
  readonly header: Header;
  readonly times: Float64Array;
  readonly frameIndices: Float64Array;
  readonly people: Person[];

  constructor() {
    this.header = JSON.parse(document.getElementById("vidpose-header")!.textContent!);
    this.times = new Float64Array(bytesOf("vidpose-times"));
    this.frameIndices = new Float64Array(bytesOf("vidpose-frames"));
    this.people = this.header.people.map((_, index) => new Person(this.header, index));
  }

  get frames(): number {
    return this.times.length;
  }

  /** The last frame that has begun at a time. */
  frameAt(time: number): number {
    let low = 0;
    let high = this.frames - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (this.times[middle] <= time + 1e-4) low = middle;
      else high = middle - 1;
    }
    return low;
  }

  /** How fast a joint is, m/s, by central differences; NaN where its place is unknown. */
  speed(person: Person, frame: number, joint: number): number {
    const before = Math.max(frame - 1, 0);
    const after = Math.min(frame + 1, this.frames - 1);
    if (before === after || !person.placed(before) || !person.placed(after)) return NaN;
    const a = person.joint(before, joint);
    const b = person.joint(after, joint);
    const way = Math.hypot(b[0] - a[0], b[1] - a[1], b[2] - a[2]);
    return way / (this.times[after] - this.times[before]);
  }

  /** The embedded video, for a <video>. */
  videoUrl(): string {
    const video = this.header.video!;
    if (!video.embedded) return video.src!;
    return URL.createObjectURL(new Blob([bytesOf("vidpose-video")], { type: "video/mp4" }));
  }
}

/** 75.28 -> 1:15.28 */
export function clock(seconds: number, digits = 2): string {
  const sign = seconds < 0 ? "-" : "";
  const units = Math.round(Math.abs(seconds) * 10 ** digits);
  const minute = 60 * 10 ** digits;
  const rest = (units % minute) / 10 ** digits;
  const width = digits ? digits + 3 : 2;
  return `${sign}${Math.floor(units / minute)}:${rest.toFixed(digits).padStart(width, "0")}`;
}
