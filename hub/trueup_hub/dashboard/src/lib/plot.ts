/** The stacked bars, drawn by uPlot. Colours come from the page's own, so that they follow the scheme. */

import uPlot from "uplot";
import { tickName, tickPositions } from "./axis";
import { brief, type Kind } from "./format";
import { stack, type Chart } from "./series";

export interface PlotOptions {
  chart: Chart;
  hidden: ReadonlySet<string>;
  before: (number | null)[] | null; // all of the period before, as a line
  granularity: string;
  kind: Kind;
  width: number;
  height: number;
  onCursor: (bucket: number | null, left: number) => void;
  onPick: (bucket: number, event: MouseEvent) => void;
}

export function plot(target: HTMLElement, options: PlotOptions): uPlot {
  const { chart, hidden, before, granularity, kind, width, height, onCursor, onPick } = options;
  const colour = colourReader(target);
  const font = `12px ${getComputedStyle(target).fontFamily}`;
  const axis = { stroke: colour("--muted"), font, ticks: { show: false } };
  const widest = Math.max(1, Math.floor(width / 76));
  const bars = uPlot.paths.bars?.({ size: [0.78, 40], radius: [0.12, 0] });
  // Painted from the highest to the lowest: each bar reaches down to zero and the next one covers its lower part.
  const order = chart.parts.map((_, index) => index).reverse();
  const series: uPlot.Series[] = order.map((index) => {
    const fill = colour(`--part-${chart.parts[index]?.slot ?? 0}`);
    return {
      label: chart.parts[index]?.label ?? "",
      fill,
      stroke: fill,
      width: 0,
      points: { show: false },
      ...(bars ? { paths: bars } : {}),
    };
  });
  if (before) series.push({ ...LINE, stroke: colour("--muted") });
  const drawn = new uPlot(
    {
      width,
      height,
      legend: { show: false },
      padding: [12, 18, 0, 0],
      cursor: { y: false, points: { show: false }, drag: { x: false, y: false } },
      scales: {
        x: { time: false, range: () => [-0.6, chart.starts.length - 0.4] },
        y: { range: (_, __, highest) => [0, highest > 0 ? highest * 1.04 : 1] },
      },
      axes: [
        {
          ...axis,
          size: 42,
          gap: 8,
          grid: { show: false },
          splits: () => tickPositions(chart.starts.length, granularity, widest),
          values: (_, at) =>
            at.map((position, index) =>
              tickName(chart.starts[position] ?? "", granularity, index ? chart.starts[at[index - 1] ?? 0] : undefined),
            ),
        },
        {
          ...axis,
          size: 58,
          gap: 6,
          space: 44,
          grid: { stroke: colour("--line"), width: 1 },
          values: (_, at) => at.map((value) => brief(kind, value)),
        },
      ],
      series: [{}, ...series],
      hooks: {
        setCursor: [
          (drawn) => onCursor(drawn.cursor.idx ?? null, (drawn.cursor.left ?? 0) + drawn.bbox.left / devicePixelRatio),
        ],
        drawClear: [(drawn) => hatchSilence(drawn, chart, colour("--line"))],
        draw: [(drawn) => markGaps(drawn, chart, colour("--line-strong"))],
      },
    },
    dataOf(chart, hidden, before),
    target,
  );
  drawn.over.addEventListener("click", (event) => {
    const bucket = drawn.cursor.idx;
    if (typeof bucket === "number") onPick(bucket, event);
  });
  return drawn;
}

const LINE = { label: "period before", width: 1.5, dash: [5, 4], points: { show: false } };

export function dataOf(chart: Chart, hidden: ReadonlySet<string>, before: (number | null)[] | null): uPlot.AlignedData {
  const heights = stack(chart.parts, hidden, chart.starts.length);
  const line = before ? [chart.starts.map((_, bucket) => before[bucket] ?? null)] : [];
  return [chart.starts.map((_, index) => index), ...heights.reverse(), ...line];
}

/** Buckets in which requests were made and none reported are not empty: hatched from foot to head. */
function hatchSilence(drawn: uPlot, chart: Chart, stroke: string): void {
  const { ctx, bbox } = drawn;
  const half = (bbox.width / (chart.starts.length + 0.2)) * 0.39;
  const step = 6 * devicePixelRatio;
  chart.silent.forEach((silent, bucket) => {
    if (!silent) return;
    const middle = drawn.valToPos(bucket, "x", true);
    ctx.save();
    ctx.strokeStyle = stroke;
    ctx.lineWidth = 1.5 * devicePixelRatio;
    ctx.beginPath();
    ctx.rect(middle - half, bbox.top, 2 * half, bbox.height);
    ctx.clip();
    ctx.beginPath();
    for (let y = bbox.top - 2 * half; y < bbox.top + bbox.height + 2 * half; y += step) {
      ctx.moveTo(middle - half, y + 2 * half);
      ctx.lineTo(middle + half, y);
    }
    ctx.stroke();
    ctx.restore();
  });
}

/** A dashed foot under every bucket in which some requests did not report: what is drawn there is less than what was used. */
function markGaps(drawn: uPlot, chart: Chart, stroke: string): void {
  const { ctx, bbox } = drawn;
  const each = bbox.width / (chart.starts.length + 0.2);
  ctx.save();
  ctx.strokeStyle = stroke;
  ctx.lineWidth = 2 * devicePixelRatio;
  ctx.setLineDash([2 * devicePixelRatio, 2 * devicePixelRatio]);
  const y = bbox.top + bbox.height + 3 * devicePixelRatio;
  chart.gaps.forEach(({ events, reported }, bucket) => {
    if (reported >= events) return;
    const middle = drawn.valToPos(bucket, "x", true);
    const half = Math.max(2 * devicePixelRatio, each * 0.39);
    ctx.beginPath();
    ctx.moveTo(middle - half, y);
    ctx.lineTo(middle + half, y);
    ctx.stroke();
  });
  ctx.restore();
}

/** Reads a colour of the page as the canvas needs it: light-dark() is resolved only in a property, not in a variable. */
function colourReader(target: HTMLElement): (variable: string) => string {
  const probe = document.createElement("span");
  return (variable) => {
    probe.style.color = `var(${variable})`;
    target.append(probe);
    const { color } = getComputedStyle(probe);
    probe.remove();
    return color;
  };
}
