// A person: round limbs, a head, and their shadow on the floor.

import * as THREE from "three";
import type { Header, Person, Point } from "./recording";

const CENTRE = 1;
const LIMB = new THREE.CylinderGeometry(1, 1, 1, 10, 1, true);
const BALL = new THREE.SphereGeometry(1, 12, 7);
const UP = new THREE.Vector3(0, 1, 0);
/** Shadows of one person are one shadow: what is dark already does not get darker. */
const SHADOW = new THREE.MeshBasicMaterial({
  color: 0x000000,
  transparent: true,
  opacity: 0.16,
  depthWrite: false,
  stencilWrite: true,
  stencilFunc: THREE.EqualStencilFunc,
  stencilRef: 0,
  stencilZPass: THREE.IncrementStencilOp,
});

export class Bodies {
  readonly object = new THREE.Group();
  visible = true;
  private readonly limbs: THREE.InstancedMesh;
  private readonly balls: THREE.InstancedMesh;
  private readonly bones: [number, number][];
  private pale = new THREE.Color();
  /** Which joints are drawn as seen: 1 or 0 for each. */
  private seen = "";

  constructor(
    private readonly header: Header,
    private readonly person: Person,
  ) {
    this.bones = header.parents.flatMap((parent, child): [number, number][] =>
      parent < 0 ? [] : [[parent, child]],
    );
    const material = new THREE.MeshLambertMaterial();
    this.limbs = new THREE.InstancedMesh(LIMB, material, this.bones.length);
    // A ball on every joint, and the head.
    this.balls = new THREE.InstancedMesh(BALL, material, header.joint_names.length + 1);
    const shadows = [this.limbs, this.balls].map((mesh) => {
      const shadow = new THREE.InstancedMesh(mesh.geometry, SHADOW, mesh.count);
      shadow.instanceMatrix = mesh.instanceMatrix;
      shadow.matrixAutoUpdate = false;
      shadow.matrix.makeScale(1, 1, 0).setPosition(0, 0, header.floor_m + 0.002);
      return shadow;
    });
    for (const mesh of [this.limbs, this.balls, ...shadows]) {
      mesh.frustumCulled = false;
      this.object.add(mesh);
    }
  }

  /** The colour that interpolated people fade into. */
  paleTo(sky: string): void {
    this.pale.set(sky);
    this.seen = "";
  }

  show(frame: number): void {
    this.object.visible = this.visible && this.person.present(frame);
    if (!this.object.visible) return;
    const sure = this.person.observed(frame) && this.person.placed(frame);
    const seen = this.header.joint_names.map((_, j) => sure && !this.person.unseen(frame, j));
    this.paint(seen);
    const joints = this.header.joint_names.map(
      (_, joint) => new THREE.Vector3(...this.person.joint(frame, joint, scratch)),
    );
    const thin = seen.map((clear) => (clear ? 1 : this.header.interpolated.thin));
    this.placeLimbs(joints, thin);
    this.placeBalls(joints, thin);
  }

  private placeLimbs(joints: THREE.Vector3[], thin: number[]): void {
    const { head, bone_radii_m } = this.header;
    this.bones.forEach(([parent, child], bone) => {
      const along = joints[child].clone().sub(joints[parent]);
      const length = along.length();
      const inHead = child === head.joints[1];
      const radius = inHead ? 0 : bone_radii_m[bone] * thin[child];
      middle.copy(joints[parent]).addScaledVector(along, 0.5);
      turn.setFromUnitVectors(UP, length > 0 ? along.divideScalar(length) : UP);
      matrix.compose(middle, turn, size.set(radius, length, radius));
      this.limbs.setMatrixAt(bone, matrix);
    });
    this.limbs.instanceMatrix.needsUpdate = true;
  }

  private placeBalls(joints: THREE.Vector3[], thin: number[]): void {
    const { head } = this.header;
    const radii = joints.map(() => 0);
    this.bones.forEach(([parent, child], bone) => {
      for (const joint of [parent, child])
        radii[joint] = Math.max(radii[joint], this.header.bone_radii_m[bone] * thin[child]);
    });
    for (const joint of head.joints) radii[joint] = 0;
    joints.forEach((joint, j) => {
      matrix.makeScale(radii[j], radii[j], radii[j]).setPosition(joint);
      this.balls.setMatrixAt(j, matrix);
    });
    const radius = head.radius_m * (thin[head.joints[1]] < 1 ? 0.7 : 1);
    middle.copy(joints[head.joints[0]]).add(joints[head.joints[1]]).multiplyScalar(0.5);
    matrix.makeScale(radius, radius, radius).setPosition(middle);
    this.balls.setMatrixAt(joints.length, matrix);
    this.balls.instanceMatrix.needsUpdate = true;
  }

  /** Limbs take the colour of their far end; what was not seen is paler. */
  private paint(seen: boolean[]): void {
    const now = seen.map(Number).join("");
    if (now === this.seen) return;
    this.seen = now;
    const shades = this.person.colours.map((colour) => new THREE.Color(colour));
    const pale = shades.map((shade) =>
      shade.clone().lerp(this.pale, this.header.interpolated.paler),
    );
    const shade = (side: number, joint: number) => (seen[joint] ? shades : pale)[side];
    this.bones.forEach(([, child], bone) =>
      this.limbs.setColorAt(bone, shade(this.header.sides[bone], child)),
    );
    this.header.joint_sides.forEach((side, joint) =>
      this.balls.setColorAt(joint, shade(side, joint)),
    );
    const head = this.header.head.joints[1];
    this.balls.setColorAt(this.header.joint_names.length, shade(CENTRE, head));
    this.limbs.instanceColor!.needsUpdate = true;
    this.balls.instanceColor!.needsUpdate = true;
  }
}

// Reused in every frame, so that drawing leaves nothing to collect.
const scratch: Point = [0, 0, 0];
const matrix = new THREE.Matrix4();
const middle = new THREE.Vector3();
const size = new THREE.Vector3();
const turn = new THREE.Quaternion();
