// The timeline: who is there when, how sure the detector is, the worst moments, the playhead.

import type { Playback } from "./playback";
import { clock, type Recording } from "./recording";

const TALLEST_LANE = 18;
const LANES_HEIGHT = 108;
const GAP = 3;
const AXIS_HEIGHT = 20;
const NARROWEST_S = 0.2;
const TICK_STEPS = [0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1800, 3600];
const TICK_APART_PX = 70;

export interface Range {
  from: number;
  to: number;
}

export class Timeline {
  readonly range: Range;
  private readonly canvas: HTMLCanvasElement;
  private readonly playhead: HTMLElement;
  private readonly marks: HTMLElement;
  private readonly hidden = new Set<number>();
  private onRange: () => void = () => {};

  constructor(
    private readonly root: HTMLElement,
    private readonly recording: Recording,
    private readonly playback: Playback,
  ) {
    this.range = { from: playback.start, to: playback.end };
    this.canvas = root.querySelector("canvas")!;
    this.playhead = root.querySelector(".playhead")!;
    this.marks = root.querySelector(".marks")!;
    this.canvas.style.height = `${this.lane * recording.people.length + AXIS_HEIGHT}px`;
    this.addMarks();
    this.listen();
  }

  whenRangeChanges(listener: () => void): void {
    this.onRange = listener;
  }

  private get lane(): number {
    return Math.min(TALLEST_LANE + GAP, LANES_HEIGHT / Math.max(this.recording.people.length, 1));
  }

  private addMarks(): void {
    this.recording.header.moments.forEach((moment, i) => {
      const mark = document.createElement("button");
      mark.className = "mark";
      mark.title = moment.text;
      mark.ariaLabel = `Worst moment: ${moment.text}`;
      mark.dataset.moment = String(i);
      mark.addEventListener("click", () => this.playback.seekTime(moment.time_s));
      this.marks.append(mark);
    });
  }

  private listen(): void {
    const seek = (event: PointerEvent): void => {
      const { left, width } = this.canvas.getBoundingClientRect();
      const share = (event.clientX - left) / width;
      this.playback.seekTime(this.range.from + share * (this.range.to - this.range.from));
    };
    this.canvas.addEventListener("pointerdown", (event) => {
      this.canvas.setPointerCapture(event.pointerId);
      this.playback.setPlaying(false);
      seek(event);
    });
    this.canvas.addEventListener("pointermove", (event) => {
      if (this.canvas.hasPointerCapture(event.pointerId)) seek(event);
    });
    this.canvas.addEventListener(
      "wheel",
      (event) => {
        event.preventDefault();
        const { left, width } = this.canvas.getBoundingClientRect();
        this.zoom(Math.exp(event.deltaY / 400), (event.clientX - left) / width);
      },
      { passive: false },
    );
    this.canvas.addEventListener("dblclick", () => this.zoom(Infinity));
  }

  /** Show more (above 1) or less of the time around a share of the width, or the playhead. */
  zoom(factor: number, around?: number): void {
    const { start, end } = this.playback;
    const { from, to } = this.range;
    const share = around ?? this.share(this.recording.times[this.playback.frame]);
    const centre = from + share * (to - from);
    const length = Math.min(Math.max((to - from) * factor, NARROWEST_S), end - start);
    this.range.from = Math.min(Math.max(centre - share * length, start), end - length);
    this.range.to = this.range.from + length;
    this.draw();
    this.onRange();
  }

  setPerson(index: number, visible: boolean): void {
    if (visible) this.hidden.delete(index);
    else this.hidden.add(index);
    this.draw();
  }

  private share(time: number): number {
    return (time - this.range.from) / (this.range.to - this.range.from);
  }

  /** Move the playhead, and the range with it if it would leave it. */
  show(): void {
    const time = this.recording.times[this.playback.frame];
    const length = this.range.to - this.range.from;
    if (time < this.range.from || time >= this.range.to) {
      const { start, end } = this.playback;
      this.range.from = Math.min(Math.max(time - length * 0.1, start), end - length);
      this.range.to = this.range.from + length;
      this.draw();
      this.onRange();
    }
    this.playhead.style.left = `${this.share(time) * 100}%`;
  }

  draw(): void {
    const ratio = window.devicePixelRatio;
    const { clientWidth: width, clientHeight: height } = this.canvas;
    this.canvas.width = Math.round(width * ratio);
    this.canvas.height = Math.round(height * ratio);
    const context = this.canvas.getContext("2d")!;
    context.scale(ratio, ratio);
    const style = getComputedStyle(this.root);
    this.drawAxis(context, width, height, style);
    this.recording.people.forEach((_, p) => {
      context.globalAlpha = this.hidden.has(p) ? 0.25 : 1;
      this.drawLane(context, p, width, style.getPropertyValue("--lane"));
    });
    context.globalAlpha = 1;
    this.placeMarks();
    this.show();
  }

  private drawLane(
    context: CanvasRenderingContext2D,
    p: number,
    width: number,
    ground: string,
  ): void {
    const person = this.recording.people[p];
    const tall = this.lane > 2 * GAP ? this.lane - GAP : this.lane;
    const top = p * this.lane;
    context.fillStyle = ground;
    context.fillRect(0, top, width, tall);
    const second = width / (this.range.to - this.range.from);
    for (let x = 0; x < width; x++) {
      const begin = this.range.from + x / second;
      const from = this.recording.frameAt(begin);
      const to = Math.max(from, this.recording.frameAt(begin + 1 / second - 2e-4));
      const column = this.summary(person, from, to);
      if (!column) continue;
      if (column.sure) {
        const filled = Math.max(1, tall * column.confidence);
        context.fillStyle = person.colours[1];
        context.fillRect(x, top + tall - filled, 1, filled);
      } else if ((x >> 1) % 2 === 0) {
        // A fence where the person was not seen, but interpolated.
        context.fillStyle = person.colours[1];
        context.fillRect(x, top + tall * 0.3, 1, tall * 0.4);
      }
    }
  }

  /** What a column of pixels shows of some frames, few of them where there are many. */
  private summary(
    person: Recording["people"][number],
    from: number,
    to: number,
  ): { sure: boolean; confidence: number } | null {
    let present = false;
    let sure = true;
    let confidence = 1;
    const stride = Math.max(1, Math.floor((to - from + 1) / 20));
    for (let frame = from; frame <= to; frame += stride) {
      if (!person.present(frame)) continue;
      present = true;
      if (!person.observed(frame)) sure = false;
      else confidence = Math.min(confidence, person.confidence(frame));
    }
    return present ? { sure, confidence } : null;
  }

  private drawAxis(
    context: CanvasRenderingContext2D,
    width: number,
    height: number,
    style: CSSStyleDeclaration,
  ): void {
    const length = this.range.to - this.range.from;
    const most = width / TICK_APART_PX;
    const step = TICK_STEPS.find((seconds) => length / seconds <= most) ?? 7200;
    context.font = `11px ${style.fontFamily}`;
    context.fillStyle = style.getPropertyValue("--quiet");
    context.textBaseline = "bottom";
    for (let i = Math.ceil(this.range.from / step - 1e-6); i * step < this.range.to; i++) {
      const x = this.share(i * step) * width;
      const text = clock(i * step, step < 1 ? 1 : 0);
      const textWidth = context.measureText(text).width;
      context.fillRect(Math.min(Math.round(x), width - 1), height - AXIS_HEIGHT + 1, 1, 4);
      context.fillText(text, Math.min(Math.max(x - textWidth / 2, 0), width - textWidth), height);
    }
  }

  private placeMarks(): void {
    for (const mark of this.marks.children as HTMLCollectionOf<HTMLElement>) {
      const moment = this.recording.header.moments[Number(mark.dataset.moment)];
      const share = this.share(moment.time_s);
      mark.hidden = share < 0 || share > 1;
      mark.style.left = `${share * 100}%`;
    }
  }
}
