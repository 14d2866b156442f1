/** The drawing of a panel as a picture that says by itself what it shows. */

import { fontOf, paintSvg } from "./paint";

const SCALE = 2;
const EDGE = 20;
const NARROWEST = 420;

export interface Caption {
  title: string;
  about: string; // which days, in which zone, and what else was chosen
  source: string; // who says so, and when
}

/** What of an element is painted: the chart that names itself, else the canvas of a plot. */
export const drawingIn = (panel: Element): SVGSVGElement | HTMLCanvasElement | null =>
  panel.querySelector<SVGSVGElement>("svg[data-chart]") ?? panel.querySelector("canvas");

/** At twice its size on the page, on the ground of the present colour scheme; null where there is nothing to paint. */
export function pictureOf(panel: HTMLElement, caption: Caption): HTMLCanvasElement | null {
  const drawing = drawingIn(panel);
  if (!drawing) return null;
  const box = drawing.getBoundingClientRect();
  const width = Math.max(box.width, NARROWEST);
  const ctx = canvas().getContext("2d");
  if (!ctx) return null;
  const look = getComputedStyle(panel);
  const text = new Writer(ctx, look, readMuted(panel), width);
  const keys = keysIn(panel);
  // Once to know how high it will be, then for good: setting the size of a canvas empties it
  for (const paint of [false, true]) {
    if (paint) prepare(ctx, width, text.y, look.backgroundColor);
    text.begin(paint);
    text.line(caption.title, 650, 16);
    text.line(caption.about, 400, 12, true);
    text.y += 10;
    if (paint) paintAt(ctx, EDGE, text.y, () => paintDrawing(ctx, drawing, box));
    text.y += box.height + 10;
    text.keys(keys);
    text.line(caption.source, 400, 11, true);
    text.y += EDGE;
  }
  return ctx.canvas;
}

export function download(picture: HTMLCanvasElement, name: string): void {
  picture.toBlob((blob) => blob && save(blob, name), "image/png");
}

export function save(blob: Blob, name: string): void {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  // Not at once: the browser has yet to read it
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

/** `trueup-top-sessions_2026-11-02_2026-11-08.png` */
export function fileName(title: string, from: string | undefined, to: string | undefined, ending: string): string {
  const what = title
    .toLowerCase()
    .replace(/[^\p{L}\p{N}]+/gu, "-")
    .replace(/^-|-$/g, "");
  return `trueup-${what}${from && to ? `_${from}_${to}` : ""}.${ending}`;
}

interface Key {
  swatch: SVGSVGElement | null;
  words: string;
}

/** What the colours mean: items of the panel's legends, without series that are hidden. */
function keysIn(panel: HTMLElement): Key[] {
  return [...panel.querySelectorAll<HTMLElement>(".legend li")]
    .filter((item) => item.checkVisibility() && !item.querySelector('[aria-pressed="false"]'))
    .map((item) => ({ swatch: item.querySelector("svg"), words: item.innerText.replace(/\s+/g, " ").trim() }));
}

class Writer {
  y = 0;
  #paint = false;

  constructor(
    readonly ctx: CanvasRenderingContext2D,
    readonly look: CSSStyleDeclaration,
    readonly muted: string,
    readonly width: number,
  ) {}

  begin(paint: boolean): void {
    this.y = EDGE;
    this.#paint = paint;
  }

  /** Wrapped at spaces. */
  line(words: string, weight: number, size: number, quiet = false): void {
    this.#font(weight, size, quiet);
    let line = "";
    for (const word of words.split(" ")) {
      const longer = line ? `${line} ${word}` : word;
      if (line && this.ctx.measureText(longer).width > this.width) {
        this.#write(line, EDGE, size);
        line = word;
      } else line = longer;
    }
    if (line) this.#write(line, EDGE, size);
  }

  keys(keys: Key[]): void {
    if (keys.length === 0) return;
    const size = 12;
    this.#font(400, size, false);
    let x = 0;
    for (const { swatch, words } of keys) {
      const box = swatch?.getBoundingClientRect();
      const before = box ? box.width + 6 : 0;
      const wide = before + this.ctx.measureText(words).width;
      if (x > 0 && x + wide > this.width) {
        x = 0;
        this.y += size * 1.6;
      }
      if (this.#paint) {
        if (swatch && box)
          paintAt(this.ctx, EDGE + x, this.y + (size * 1.2 - box.height) / 2, () => paintSvg(this.ctx, swatch));
        this.ctx.fillText(words, EDGE + x + before, this.y + size);
      }
      x += wide + 18;
    }
    this.y += size * 1.6 + 8;
  }

  #font(weight: number, size: number, quiet: boolean): void {
    this.ctx.font = `${weight} ${size}px ${this.look.fontFamily}`;
    this.ctx.fillStyle = quiet ? this.muted : this.look.color;
  }

  #write(words: string, x: number, size: number): void {
    if (this.#paint) this.ctx.fillText(words, x, this.y + size);
    this.y += size * 1.5;
  }
}

function paintDrawing(
  ctx: CanvasRenderingContext2D,
  drawing: SVGSVGElement | HTMLCanvasElement,
  { width, height }: DOMRect,
): void {
  if (drawing instanceof SVGSVGElement) {
    ctx.font = fontOf(getComputedStyle(drawing));
    paintSvg(ctx, drawing);
  } else ctx.drawImage(drawing, 0, 0, width, height);
}

function paintAt(ctx: CanvasRenderingContext2D, x: number, y: number, paint: () => void): void {
  ctx.save();
  ctx.translate(x, y);
  paint();
  ctx.restore();
}

function prepare(ctx: CanvasRenderingContext2D, width: number, height: number, ground: string): void {
  ctx.canvas.width = Math.ceil((width + 2 * EDGE) * SCALE);
  ctx.canvas.height = Math.ceil(height * SCALE);
  ctx.scale(SCALE, SCALE);
  ctx.fillStyle = ground;
  ctx.fillRect(0, 0, ctx.canvas.width, ctx.canvas.height);
  ctx.imageSmoothingQuality = "high";
}

const canvas = (): HTMLCanvasElement => document.createElement("canvas");

/** light-dark() is resolved only in a property, not in a variable. */
function readMuted(panel: HTMLElement): string {
  const probe = document.createElement("span");
  probe.className = "muted";
  panel.append(probe);
  const { color } = getComputedStyle(probe);
  probe.remove();
  return color;
}
