// The video next to the scene, in step with it, with the 2D joints drawn on it.

import type { Playback } from "./playback";
import type { Recording } from "./recording";

/** Into the frame, so that no rounding shows the one before. */
const INTO_FRAME_S = 0.002;

export class VideoPanel {
  readonly element: HTMLVideoElement;
  private readonly canvas: HTMLCanvasElement;
  private readonly start: number;
  private shown: number | null = null;
  private usable = true;
  overlay = true;

  constructor(
    private readonly root: HTMLElement,
    private readonly recording: Recording,
    private readonly playback: Playback,
    private readonly visible: boolean[],
  ) {
    this.element = root.querySelector("video")!;
    this.canvas = root.querySelector("canvas")!;
    this.start = recording.header.video!.start_s;
    const [width, height] = recording.header.camera.frame_size;
    root.style.setProperty("--aspect", `${width} / ${height}`);
    this.element.addEventListener("error", () => this.fail());
    this.element.addEventListener("loadeddata", () => this.seek());
    this.element.src = recording.videoUrl();
    this.watch();
  }

  private fail(): void {
    this.usable = false;
    this.root.querySelector<HTMLElement>(".failed")!.hidden = false;
  }

  /** Keep in mind which frame the browser has put on the screen. */
  private watch(): void {
    if (!("requestVideoFrameCallback" in HTMLVideoElement.prototype)) return;
    const note = (_: number, about: { mediaTime: number }): void => {
      this.shown = about.mediaTime;
      this.element.requestVideoFrameCallback(note);
    };
    this.element.requestVideoFrameCallback(note);
  }

  /** The time of the picture while the video plays; else the clock decides. */
  get time(): number | null {
    if (!this.usable || this.element.paused || this.element.readyState < 2) return null;
    return (this.shown ?? this.element.currentTime) + this.start;
  }

  get ended(): boolean {
    return this.usable && this.element.ended;
  }

  /** Show the frame that the playback is at. */
  seek(): void {
    if (!this.usable) return;
    const { element, playback } = this;
    const wanted = this.recording.times[playback.frame] - this.start + INTO_FRAME_S;
    if (Math.abs(element.currentTime - wanted) > INTO_FRAME_S / 2) {
      element.currentTime = wanted;
      this.shown = wanted;
    }
    this.setState(); // a video that has ended stands still
  }

  /** Play or pause, as fast as the playback does. */
  setState(): void {
    if (!this.usable) return;
    const { element, playback } = this;
    element.playbackRate = playback.speed;
    // A seek right after it interrupts play(), which is no failure.
    if (playback.playing && element.paused) void element.play().catch(() => {});
    if (!playback.playing && !element.paused) {
      element.pause();
      this.seek();
    }
  }

  draw(): void {
    const ratio = window.devicePixelRatio;
    const { clientWidth: width, clientHeight: height } = this.canvas;
    if (!width) return;
    this.canvas.width = Math.round(width * ratio);
    this.canvas.height = Math.round(height * ratio);
    if (!this.overlay) return;
    const context = this.canvas.getContext("2d")!;
    const scale = this.canvas.width / this.recording.header.camera.frame_size[0];
    this.paint(context, scale, 2 * ratio);
  }

  /** The 2D joints, on any canvas that shows the picture at `scale`. */
  paint(context: CanvasRenderingContext2D, scale: number, thick: number): void {
    const { header, people } = this.recording;
    const { frame } = this.playback;
    context.lineCap = "round";
    people.forEach((person, p) => {
      if (!this.visible[p] || !person.present(frame)) return;
      let bone = -1;
      header.parents.forEach((parent, child) => {
        if (parent < 0) return;
        bone++;
        const [from, to] = [parent, child].map((joint) => person.keypoint(frame, joint));
        const sure = Math.min(person.score(frame, parent), person.score(frame, child));
        if (!from || !to) return;
        const faint = !person.observed(frame) || sure < header.overlay.sure_score;
        context.globalAlpha = faint ? header.overlay.faint : 1;
        for (const [width, colour] of [
          [thick * 1.8, "rgba(18, 20, 26, 0.75)"],
          [thick, person.colours[header.sides[bone]]],
        ] as const) {
          context.lineWidth = width;
          context.strokeStyle = colour;
          context.beginPath();
          context.moveTo((from[0] + 0.5) * scale, (from[1] + 0.5) * scale);
          context.lineTo((to[0] + 0.5) * scale, (to[1] + 0.5) * scale);
          context.stroke();
        }
      });
    });
    context.globalAlpha = 1;
  }
}
