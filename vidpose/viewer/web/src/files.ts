// What the page saves: a picture, and tables.

import { clock, type Point, type Recording } from "./recording";
import type { VideoPanel } from "./video";

export function save(blob: Blob, name: string): void {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

/** The scene, with the video next to it if there is one, and the time. */
export function picture(
  scene: HTMLCanvasElement,
  video: VideoPanel | null,
  recording: Recording,
  frame: number,
): HTMLCanvasElement {
  const [wide, tall] = recording.header.camera.frame_size;
  const height = scene.height;
  const beside = video && video.element.readyState >= 2 ? Math.round((height * wide) / tall) : 0;
  const canvas = document.createElement("canvas");
  canvas.width = beside + scene.width;
  canvas.height = height;
  const context = canvas.getContext("2d")!;
  if (video && beside) {
    context.drawImage(video.element, 0, 0, beside, height);
    if (video.overlay) video.paint(context, beside / wide, height / 240);
  }
  context.drawImage(scene, beside, 0);
  const size = Math.max(12, Math.round(height / 45));
  const style = getComputedStyle(document.documentElement);
  context.font = `${size}px ${getComputedStyle(document.body).fontFamily}`;
  context.fillStyle = style.getPropertyValue("--ink");
  context.textBaseline = "bottom";
  const text = `${clock(recording.times[frame])}   frame ${recording.frameIndices[frame]}`;
  context.fillText(text, beside + size, height - size);
  return canvas;
}

/** Everybody's joints, a row for each person, frame and joint, in pieces. */
export function jointsCsv(recording: Recording, visible: boolean[]): string[] {
  const names = recording.header.joint_names;
  const rows = ["person,frame,time_s,joint,x_m,y_m,z_m,score,observed\n"];
  const at: Point = [0, 0, 0];
  recording.people.forEach((person, i) => {
    if (!visible[i]) return;
    for (let frame = person.first; frame < person.end; frame++) {
      if (!person.present(frame)) continue;
      const time = recording.times[frame].toFixed(6);
      const start = `${person.id},${recording.frameIndices[frame]},${time}`;
      const seen = Number(person.observed(frame));
      names.forEach((name, joint) => {
        const place = person.placed(frame)
          ? person.joint(frame, joint, at).map((metres) => metres.toFixed(4))
          : ["", "", ""];
        const score = person.score(frame, joint).toFixed(2);
        rows.push(`${start},${name},${place.join(",")},${score},${seen}\n`);
      });
    }
  });
  return rows;
}
