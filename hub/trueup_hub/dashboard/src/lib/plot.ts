/** The stacked bars, drawn by uPlot. Colours come from the page's own, so that they follow the scheme. */

import uPlot from "uplot";
import { tickName, tickPositions } from "./axis";
import { brief, type Kind } from "./format";
import { stack, type Chart } from "./series";

export interface PlotOptions {
  chart: Chart;
  hidden: ReadonlySet<string>;
  granularity: string;
  kind: Kind;
  width: number;
  height: number;
  onCursor: (bucket: number | null, left: number) => void;
}

export function plot(target: HTMLElement, options: PlotOptions): uPlot {
  const { chart, hidden, granularity, kind, width, height, onCursor } = options;
  const colour = colourReader(target);
  const font = `12px ${getComputedStyle(target).fontFamily}`;
  const axis = { stroke: colour("--muted"), font, ticks: { show: false } };
  const widest = Math.max(1, Math.floor(width / 76));
  const bars = uPlot.paths.bars?.({ size: [0.78, 40], radius: [0.12, 0] });
  // Painted from the highest to the lowest: each bar reaches down to zero and the next one covers its lower part.
  const order = chart.parts.map((_, index) => index).reverse();
  const series = order.map((index) => {
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
  return new uPlot(
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
        draw: [(drawn) => markGaps(drawn, chart, colour("--line-strong"))],
      },
    },
    dataOf(chart, hidden),
    target,
  );
}

export function dataOf(chart: Chart, hidden: ReadonlySet<string>): uPlot.AlignedData {
  const heights = stack(chart.parts, hidden, chart.starts.length);
  return [chart.starts.map((_, index) => index), ...heights.reverse()];
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
