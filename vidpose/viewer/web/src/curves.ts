// Curves over time of a joint's position and speed, and of an angle.

import uPlot from "uplot";
import type { Playback } from "./playback";
import type { Person, Point, Recording } from "./recording";
import type { Range } from "./timeline";

const AXIS_PX = 46;
const AXIS_NAMES = ["x, right", "y, away", "z, up"];

const LOWEST_PX = 82;
/** What stands in the panel apart from three plots. */
const HEADS_PX = 126;
const NARROW = matchMedia("(max-width: 860px), (max-height: 480px)");

type Measure = (person: Person, frame: number) => number;

interface Chart {
  root: HTMLElement;
  plot: uPlot;
  playhead: HTMLElement;
  measure: () => Measure;
  digits: number;
  unit: string;
}

function fill(select: HTMLSelectElement, names: string[], chosen: number): void {
  select.replaceChildren(...names.map((name, i) => new Option(name, String(i), false, i === chosen)));
}

export class Curves {
  private readonly charts: Chart[] = [];
  private readonly joint: HTMLSelectElement;
  private readonly axis: HTMLSelectElement;
  private readonly angle: HTMLSelectElement;
  private readonly times: number[];

  constructor(
    private readonly root: HTMLElement,
    private readonly recording: Recording,
    private readonly playback: Playback,
    private readonly range: Range,
    private readonly visible: boolean[],
  ) {
    const { header } = recording;
    this.times = Array.from(recording.times);
    this.joint = root.querySelector("[name=joint]")!;
    this.axis = root.querySelector("[name=axis]")!;
    this.angle = root.querySelector("[name=angle]")!;
    fill(this.joint, header.joint_labels, header.joint_names.indexOf("RWrist"));
    fill(this.axis, AXIS_NAMES, 2);
    const knee = header.angle_names.findIndex((name) => name.includes("knee"));
    fill(this.angle, header.angle_names, Math.max(knee, 0));
    const scratch: Point = [0, 0, 0];
    this.add("position", "m", 2, () => {
      const [joint, axis] = [Number(this.joint.value), Number(this.axis.value)];
      return (person, frame) =>
        person.placed(frame) ? person.joint(frame, joint, scratch)[axis] : NaN;
    });
    this.add("speed", "m/s", 2, () => {
      const joint = Number(this.joint.value);
      return (person, frame) => recording.speed(person, frame, joint);
    });
    if (header.angle_names.length)
      this.add("angle", "°", 0, () => {
        const angle = Number(this.angle.value);
        return (person, frame) => person.angle(frame, angle);
      });
    else root.querySelector<HTMLElement>("[data-chart=angle]")!.hidden = true;
    for (const select of [this.joint, this.axis, this.angle])
      select.addEventListener("change", () => this.draw());
    new ResizeObserver(() => this.resize()).observe(root);
  }

  private add(name: string, unit: string, digits: number, measure: () => Measure): void {
    const root = this.root.querySelector<HTMLElement>(`[data-chart=${name}]`)!;
    const place = root.querySelector<HTMLElement>(".plot")!;
    const ink = (): string => getComputedStyle(this.root).getPropertyValue("--quiet");
    const lines = (): string => getComputedStyle(this.root).getPropertyValue("--line");
    const axis: uPlot.Axis = {
      stroke: ink,
      font: `11px ${getComputedStyle(this.root).fontFamily}`,
      grid: { stroke: lines, width: 1 },
      ticks: { show: false },
    };
    const plot = new uPlot(
      {
        width: Math.max(place.clientWidth, 100),
        height: this.height(),
        padding: [6, 8, 0, 0],
        legend: { show: false },
        cursor: { drag: { x: false, y: false }, points: { show: false }, x: false, y: false },
        scales: { x: { time: false } },
        axes: [
          {
            ...axis,
            size: 20,
            gap: 5,
            space: 60,
            values: (_, ticks) => ticks.map((t) => `${t} s`),
          },
          { ...axis, size: AXIS_PX, gap: 4, space: 18 },
        ],
        series: [
          {},
          ...this.recording.people.map((person, i) => ({
            stroke: person.colours[1],
            width: 1.5,
            show: this.visible[i],
            points: { show: false },
          })),
        ],
      },
      [this.times, ...this.recording.people.map(() => this.times.map(() => null))] as never,
      place,
    );
    this.scrub(plot);
    const playhead = document.createElement("div");
    playhead.className = "playhead";
    plot.over.append(playhead);
    this.charts.push({ root, plot, playhead, measure, digits, unit });
  }

  /** All charts fit into the panel, unless it is too low, or the page scrolls as on a phone. */
  private height(): number {
    const room = this.root.clientHeight - HEADS_PX;
    return NARROW.matches ? LOWEST_PX + 20 : Math.max(LOWEST_PX, Math.floor(room / 3));
  }

  private scrub(plot: uPlot): void {
    const seek = (event: PointerEvent): void => {
      const { left } = plot.over.getBoundingClientRect();
      this.playback.seekTime(plot.posToVal(event.clientX - left, "x"));
    };
    plot.over.addEventListener("pointerdown", (event) => {
      plot.over.setPointerCapture(event.pointerId);
      this.playback.setPlaying(false);
      seek(event);
    });
    plot.over.addEventListener("pointermove", (event) => {
      if (plot.over.hasPointerCapture(event.pointerId)) seek(event);
    });
  }

  /** Compute the curves anew: others were chosen, or colours or the range have changed. */
  draw(): void {
    const joint = this.recording.header.joint_labels[Number(this.joint.value)];
    this.root.querySelector("h2")!.textContent = `Speed, ${joint.toLowerCase()}`;
    for (const { plot, measure } of this.charts) {
      const value = measure();
      const series = this.recording.people.map((person) =>
        this.times.map((_, frame) => {
          const number = value(person, frame);
          return Number.isNaN(number) ? null : number;
        }),
      );
      plot.setData([this.times, ...series], false);
      this.recording.people.forEach((_, i) => plot.setSeries(i + 1, { show: this.visible[i] }));
      plot.setScale("x", { min: this.range.from, max: this.range.to });
    }
    this.show();
  }

  setRange(): void {
    for (const { plot } of this.charts)
      plot.setScale("x", { min: this.range.from, max: this.range.to });
    this.show();
  }

  /** Move the playhead, and show the numbers there. */
  show(): void {
    const share =
      (this.recording.times[this.playback.frame] - this.range.from) /
      (this.range.to - this.range.from);
    for (const { root, playhead, measure, digits, unit } of this.charts) {
      playhead.style.left = `${share * 100}%`;
      const value = measure();
      const values = this.recording.people.flatMap((person, i) => {
        const number = value(person, this.playback.frame);
        if (!this.visible[i] || Number.isNaN(number)) return [];
        const text = document.createElement("span");
        text.style.setProperty("--person", person.colours[1]);
        text.textContent = `${number.toFixed(digits)} ${unit}`.replace(" °", "°");
        return [text];
      });
      root.querySelector(".values")!.replaceChildren(...values);
    }
  }

  private resize(): void {
    for (const { root, plot } of this.charts) {
      const width = root.querySelector<HTMLElement>(".plot")!.clientWidth;
      if (width > 0 && (width !== plot.width || this.height() !== plot.height))
        plot.setSize({ width, height: this.height() });
    }
  }

  /** What the charts show, a row for each person and frame. */
  csv(): string[] {
    const joint = this.recording.header.joint_names[Number(this.joint.value)];
    const position = `${joint} ${"xyz"[Number(this.axis.value)]} (m)`;
    const titles = [position, `${joint} speed (m/s)`];
    if (this.charts.length > 2)
      titles.push(`${this.recording.header.angle_names[Number(this.angle.value)]} (deg)`);
    const rows = [["person", "frame", "time_s", ...titles.map(quoted)].join(",") + "\n"];
    const measures = this.charts.map(({ measure }) => measure());
    this.recording.people.forEach((person, i) => {
      if (!this.visible[i]) return;
      for (let frame = person.first; frame < person.end; frame++) {
        if (!person.present(frame)) continue;
        const numbers = measures.map((value) => value(person, frame));
        const shown = numbers.map((number) => (Number.isNaN(number) ? "" : number.toFixed(4)));
        const time = this.times[frame].toFixed(6);
        const cells = [person.id, this.recording.frameIndices[frame], time, ...shown];
        rows.push(cells.join(",") + "\n");
      }
    });
    return rows;
  }
}

function quoted(text: string): string {
  return `"${text.replaceAll('"', '""')}"`;
}
