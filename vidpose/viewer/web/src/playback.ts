// Which frame is shown, and how that goes on.

import type { Recording } from "./recording";

/** What has changed: the frame, because time went on or because somebody asked for another one; or
 * whether and how it plays. */
type Change = "played" | "sought" | "state";

export class Playback {
  frame = 0;
  playing = false;
  speed = 1;
  loop = true;
  private time = 0;
  private listeners: ((change: Change) => void)[] = [];

  constructor(private readonly recording: Recording) {
    this.time = recording.times[0];
  }

  onChange(listener: (change: Change) => void): void {
    this.listeners.push(listener);
  }

  private say(change: Change): void {
    for (const listener of this.listeners) listener(change);
  }

  get start(): number {
    return this.recording.times[0];
  }

  /** When the last frame ends, seconds. */
  get end(): number {
    return this.recording.times[this.recording.frames - 1] + 1 / this.recording.header.fps;
  }

  seek(frame: number): void {
    const last = this.recording.frames - 1;
    this.frame = Math.min(Math.max(Math.round(frame), 0), last);
    this.time = this.recording.times[this.frame];
    this.say("sought");
  }

  seekTime(time: number): void {
    this.seek(this.recording.frameAt(time));
  }

  step(frames: number): void {
    this.setPlaying(false);
    this.seek(this.frame + frames);
  }

  setPlaying(playing: boolean): void {
    if (playing === this.playing) return;
    if (playing && this.frame === this.recording.frames - 1) this.seek(0);
    this.playing = playing;
    this.say("state");
  }

  setSpeed(speed: number): void {
    this.speed = speed;
    this.say("state");
  }

  setLoop(loop: boolean): void {
    this.loop = loop;
    this.say("state");
  }

  /** Go on by so many seconds of real time, or to where the video is. */
  advance(elapsed: number, videoTime: number | null, videoEnded: boolean): void {
    if (!this.playing) return;
    this.time = videoTime ?? this.time + elapsed * this.speed;
    if (videoEnded || this.time >= this.end) {
      if (this.loop) this.seek(0);
      else {
        this.setPlaying(false);
        this.seek(this.recording.frames - 1);
      }
      return;
    }
    const frame = this.recording.frameAt(this.time);
    if (frame === this.frame) return;
    this.frame = frame;
    this.say("played");
  }
}
