// The page: makes the parts, and connects them with the controls.

import { Curves } from "./curves";
import { jointsCsv, picture, save } from "./files";
import { Playback } from "./playback";
import { clock, type Point, Recording } from "./recording";
import { Stage } from "./stage";
import { Timeline } from "./timeline";
import { VideoPanel } from "./video";

const recording = new Recording();
const { header } = recording;
const playback = new Playback(recording);
const visible = recording.people.map(() => true);

function find<T extends HTMLElement>(selector: string): T {
  return document.querySelector<T>(selector)!;
}

if (!document.createElement("canvas").getContext("webgl2")) {
  find("#no-webgl").hidden = false;
  throw new Error("The browser offers no WebGL 2.");
}

// Nothing is drawn unless something has changed, at most once a frame of the display.
let changed = true;
const stage = new Stage(
  find<HTMLCanvasElement>("#scene"),
  recording,
  () => (changed = true),
  () => markView(null),
);
const timeline = new Timeline(find("#timeline"), recording, playback);
const curves = new Curves(find("#curves"), recording, playback, timeline.range, visible);
const panel = find("#video");
const video = header.video ? new VideoPanel(panel, recording, playback, visible) : null;
panel.hidden = video === null;
document.body.classList.toggle("has-video", video !== null);

timeline.whenRangeChanges(() => curves.setRange());

function showFrame(): void {
  const time = recording.times[playback.frame];
  find("#time").textContent = clock(time);
  find("#frame").textContent = `frame ${recording.frameIndices[playback.frame]}`;
  timeline.show();
  stage.show(playback.frame);
  for (const [index, chip] of document.querySelectorAll("#people button").entries())
    chip.classList.toggle("absent", !recording.people[index].present(playback.frame));
  changed = true;
}

playback.onChange((change) => {
  if (change === "state") {
    showState();
    video?.setState();
    return;
  }
  showFrame();
  if (change === "sought") video?.seek();
});

function showState(): void {
  document.body.classList.toggle("playing", playback.playing);
  find("#play").ariaLabel = playback.playing ? "Pause" : "Play";
  find("#loop").ariaPressed = String(playback.loop);
}

function showPerson(index: number, shown: boolean): void {
  visible[index] = shown;
  stage.showPerson(index, shown);
  timeline.setPerson(index, shown);
  find(`#people button:nth-child(${index + 1})`).ariaPressed = String(shown);
  curves.draw();
  changed = true;
}

function listPeople(): void {
  recording.people.forEach((person, index) => {
    const chip = document.createElement("button");
    chip.ariaPressed = "true";
    chip.title = `Show or hide person ${person.id}${index < 9 ? ` (key ${index + 1})` : ""}`;
    chip.style.setProperty("--left", person.colours[0]);
    chip.style.setProperty("--person", person.colours[1]);
    chip.style.setProperty("--right", person.colours[2]);
    chip.append(document.createElement("i"), `Person ${person.id}`);
    chip.addEventListener("click", () => showPerson(index, !visible[index]));
    find("#people").append(chip);
  });
}

function listMoments(): void {
  const list = find("#moments");
  header.moments.forEach((moment, i) => {
    const row = document.createElement("button");
    const time = document.createElement("b");
    time.textContent = clock(moment.time_s, 1);
    const text = moment.text.replace(/^[^,]*, /, "");
    row.append(time, text.charAt(0).toUpperCase() + text.slice(1));
    row.dataset.moment = String(i);
    row.addEventListener("click", () => playback.seekTime(moment.time_s));
    list.append(row);
  });
  find("#no-moments").hidden = header.moments.length > 0;
}

function listFacts(): void {
  const table = find("#facts");
  for (const [name, value] of header.facts) {
    const term = document.createElement("dt");
    const text = document.createElement("dd");
    term.textContent = name;
    text.textContent = value;
    table.append(term, text);
  }
}

function setTheme(theme: string): void {
  document.documentElement.dataset.theme = theme;
  const style = getComputedStyle(document.documentElement);
  const colour = (name: string): string => style.getPropertyValue(name).trim();
  stage.paint({
    sky: colour("--sky"),
    floor: colour("--floor"),
    grid: colour("--grid"),
    ink: colour("--quiet"),
  });
  timeline.draw();
  curves.draw();
  changed = true;
}

function toggleTheme(): void {
  setTheme(document.documentElement.dataset.theme === "dark" ? "light" : "dark");
}

function markView(view: string | null): void {
  for (const button of document.querySelectorAll<HTMLElement>("[data-view]"))
    button.ariaPressed = String(button.dataset.view === view);
}

function look(view: string): void {
  stage.look(view);
  markView(view);
  changed = true;
}

function showTab(name: string): void {
  for (const tab of document.querySelectorAll<HTMLElement>("[role=tab]"))
    tab.ariaSelected = String(tab.dataset.tab === name);
  for (const part of document.querySelectorAll<HTMLElement>("[role=tabpanel]"))
    part.hidden = part.id !== name;
  find("#save-curves").hidden = name !== "curves";
}

const name = (): string => header.title.replace(/[^\p{L}\p{N}._-]+/gu, "_") || "vidpose";

function savePicture(): void {
  stage.render();
  const canvas = picture(find<HTMLCanvasElement>("#scene"), video, recording, playback.frame);
  canvas.toBlob((blob) => save(blob!, `${name()}-${recording.frameIndices[playback.frame]}.png`));
}

function saveCsv(rows: string[], what: string): void {
  save(new Blob(rows, { type: "text/csv" }), `${name()}-${what}.csv`);
}

function nextMoment(direction: number): void {
  const now = playback.frame;
  const frames = header.moments.map((moment) => recording.frameAt(moment.time_s));
  const next = direction > 0 ? frames.find((f) => f > now) : frames.filter((f) => f < now).at(-1);
  if (next !== undefined) playback.seek(next);
}

const help = find<HTMLDialogElement>("#help");
const seconds = (count: number): number =>
  Math.sign(count) * Math.max(1, Math.round(Math.abs(count) * header.fps));

const KEYS: Record<string, (event: KeyboardEvent) => void> = {
  " ": () => playback.setPlaying(!playback.playing),
  ArrowLeft: (event) => playback.step(event.shiftKey ? seconds(-1) : -1),
  ArrowRight: (event) => playback.step(event.shiftKey ? seconds(1) : 1),
  ArrowUp: () => changeSpeed(-1),
  ArrowDown: () => changeSpeed(1),
  Home: () => playback.step(-Infinity),
  End: () => playback.step(Infinity),
  "+": () => timeline.zoom(0.7),
  "-": () => timeline.zoom(1 / 0.7),
  l: () => playback.setLoop(!playback.loop),
  m: () => nextMoment(1),
  M: () => nextMoment(-1),
  t: toggleTheme,
  "?": () => help.showModal(),
};

function changeSpeed(step: number): void {
  const speeds = find<HTMLSelectElement>("#speed");
  const last = speeds.options.length - 1;
  speeds.selectedIndex = Math.min(Math.max(speeds.selectedIndex + step, 0), last);
  playback.setSpeed(Number(speeds.value));
}

document.addEventListener("keydown", (event) => {
  const target = event.target as HTMLElement;
  if (event.ctrlKey || event.metaKey || event.altKey || help.open) return;
  if (target.matches("select") || (target.matches("button") && event.key === " ")) return;
  const person = Number(event.key) - 1;
  if (event.key in KEYS) KEYS[event.key](event);
  else if (person in visible) showPerson(person, !visible[person]);
  else return;
  event.preventDefault();
});

// After a click on a control, the keys are the player's again; who tabs to it keeps it.
document.addEventListener("click", (event) => {
  if (event.detail > 0) (event.target as HTMLElement).closest("button")?.blur();
});
document.addEventListener("change", (event) => (event.target as HTMLElement).blur());

function on(selector: string, act: () => void): void {
  find(selector).addEventListener("click", act);
}

on("#play", () => playback.setPlaying(!playback.playing));
on("#back", () => playback.step(-1));
on("#ahead", () => playback.step(1));
on("#first", () => playback.step(-Infinity));
on("#loop", () => playback.setLoop(!playback.loop));
on("#theme", toggleTheme);
on("#save-picture", savePicture);
on("#save-csv", () => saveCsv(jointsCsv(recording, visible), "joints"));
on("#save-curves", () => saveCsv(curves.csv(), "curves"));
on("#open-help", () => help.showModal());
on("#zoom-in", () => timeline.zoom(0.6));
on("#zoom-out", () => timeline.zoom(1 / 0.6));
on("#overlay", () => {
  video!.overlay = !video!.overlay;
  find("#overlay").ariaPressed = String(video!.overlay);
  changed = true;
});
for (const tab of document.querySelectorAll<HTMLElement>("[role=tab]"))
  tab.addEventListener("click", () => showTab(tab.dataset.tab!));
for (const button of document.querySelectorAll<HTMLElement>("[data-view]"))
  button.addEventListener("click", () => look(button.dataset.view!));
find("#speed").addEventListener("change", (event) =>
  playback.setSpeed(Number((event.target as HTMLSelectElement).value)),
);
find("#trails").addEventListener("change", (event) => {
  stage.trails.choose((event.target as HTMLSelectElement).value);
  stage.show(playback.frame);
  changed = true;
});
on("#camera", () => {
  const shown = find("#camera").ariaPressed !== "true";
  find("#camera").ariaPressed = String(shown);
  stage.showCamera(shown);
  changed = true;
});
window.addEventListener("resize", () => {
  timeline.draw();
  changed = true;
});

let before = performance.now();
let drawn = 0;
function animate(now: number): void {
  requestAnimationFrame(animate);
  playback.advance((now - before) / 1000, video?.time ?? null, video?.ended ?? false);
  before = now;
  if (stage.resize()) changed = true;
  if (!changed) return;
  changed = false;
  stage.render();
  video?.draw();
  curves.show();
  drawn++;
}

listPeople();
listMoments();
listFacts();
find("#axes").hidden = header.has_world;
setTheme(matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", (event) =>
  setTheme(event.matches ? "dark" : "light"),
);
showState();
showFrame();
requestAnimationFrame(animate);

/** For tests and for the console. */
const api = {
  seek: (frame: number) => playback.seek(frame),
  play: () => playback.setPlaying(true),
  pause: () => playback.setPlaying(false),
  look,
  get frame() {
    return playback.frame;
  },
  get drawn() {
    return drawn;
  },
  /** Draw at once, without waiting for the display: to measure how long that takes. */
  draw: () => stage.render(),
  /** Where a joint is on the scene's canvas, CSS pixels; null for somebody who is not there. */
  project(id: number, joint: number): [number, number] | null {
    const person = recording.people.find((one) => one.id === id);
    if (!person?.present(playback.frame)) return null;
    return stage.project(person.joint(playback.frame, joint));
  },
  /** Scene (metres) to clip space, column by column. */
  get matrix(): number[] {
    const { camera } = stage;
    camera.updateMatrixWorld();
    return camera.projectionMatrix.clone().multiply(camera.matrixWorldInverse).toArray();
  },
  joint(id: number, joint: number): Point | null {
    const person = recording.people.find((one) => one.id === id);
    return person?.present(playback.frame) ? person.joint(playback.frame, joint) : null;
  },
};
(window as unknown as { vidpose: typeof api }).vidpose = api;
