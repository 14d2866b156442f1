/**
 * Paints an SVG of the page on a canvas from its own shapes and computed styles. (An SVG as an image would need a blob:
 * or data: address, which the CSP refuses, and would lose the page's colours and fonts.)
 */

const PATTERN_SCALE = 4;
const NOT_DRAWN = new Set(["defs", "pattern", "clipPath", "mask", "title", "desc", "style", "foreignObject"]);

type Ink = string | CanvasPattern | null;

/** With its upper left corner at the origin of `ctx`, one unit a CSS pixel. */
export function paintSvg(ctx: CanvasRenderingContext2D, svg: SVGSVGElement): void {
  const box = svg.getBoundingClientRect();
  ctx.save();
  // As it lies on the page: that has its viewBox in it
  const onPage = svg.getScreenCTM();
  if (onPage) {
    ctx.translate(-box.left, -box.top);
    ctx.transform(onPage.a, onPage.b, onPage.c, onPage.d, onPage.e, onPage.f);
  }
  for (const child of svg.children) paint(ctx, child);
  ctx.restore();
}

function paint(ctx: CanvasRenderingContext2D, element: Element): void {
  if (!(element instanceof SVGGraphicsElement) || NOT_DRAWN.has(element.tagName)) return;
  const style = getComputedStyle(element);
  if (style.display === "none") return;
  ctx.save();
  move(ctx, element.transform.baseVal);
  clip(ctx, style.clipPath);
  ctx.globalAlpha *= Number(style.opacity) || 0;
  if (style.visibility === "visible") {
    const shape = shapeOf(element);
    if (shape) draw(ctx, shape, style);
    else if (element instanceof SVGTextElement) write(ctx, element);
  }
  if (!(element instanceof SVGTextElement)) for (const child of element.children) paint(ctx, child);
  ctx.restore();
}

function move(ctx: CanvasRenderingContext2D, transforms: SVGTransformList): void {
  for (const { matrix: m } of transforms) ctx.transform(m.a, m.b, m.c, m.d, m.e, m.f);
}

function clip(ctx: CanvasRenderingContext2D, value: string): void {
  const found = referred(value);
  if (!(found instanceof SVGClipPathElement)) return;
  const all = new Path2D();
  for (const child of found.children) {
    const shape = child instanceof SVGGraphicsElement && shapeOf(child);
    if (shape) all.addPath(shape);
  }
  ctx.clip(all);
}

function shapeOf(element: SVGGraphicsElement): Path2D | null {
  const shape = new Path2D();
  const of = (length: SVGAnimatedLength) => length.baseVal.value;
  if (element instanceof SVGRectElement) {
    const style = getComputedStyle(element);
    const [rx, ry] = [parseFloat(style.rx), parseFloat(style.ry)];
    const radius = rx || ry || 0; // "auto" of one is the other
    shape.roundRect(of(element.x), of(element.y), of(element.width), of(element.height), radius);
  } else if (element instanceof SVGPathElement) return new Path2D(element.getAttribute("d") ?? "");
  else if (element instanceof SVGCircleElement)
    shape.arc(of(element.cx), of(element.cy), of(element.r), 0, 2 * Math.PI);
  else if (element instanceof SVGEllipseElement)
    shape.ellipse(of(element.cx), of(element.cy), of(element.rx), of(element.ry), 0, 0, 2 * Math.PI);
  else if (element instanceof SVGLineElement) {
    shape.moveTo(of(element.x1), of(element.y1));
    shape.lineTo(of(element.x2), of(element.y2));
  } else if (element instanceof SVGPolylineElement || element instanceof SVGPolygonElement) {
    for (const { x, y } of element.points) shape.lineTo(x, y);
    if (element instanceof SVGPolygonElement) shape.closePath();
  } else return null;
  return shape;
}

function draw(ctx: CanvasRenderingContext2D, shape: Path2D, style: CSSStyleDeclaration): void {
  const [fill, stroke] = [inkOf(ctx, style.fill), inkOf(ctx, style.stroke)];
  const alpha = ctx.globalAlpha;
  if (fill !== null) {
    ctx.globalAlpha = alpha * Number(style.fillOpacity);
    ctx.fillStyle = fill;
    ctx.fill(shape, style.fillRule === "evenodd" ? "evenodd" : "nonzero");
  }
  if (stroke !== null && parseFloat(style.strokeWidth) > 0) {
    ctx.globalAlpha = alpha * Number(style.strokeOpacity);
    pen(ctx, stroke, style);
    ctx.stroke(shape);
  }
  ctx.globalAlpha = alpha;
}

function pen(ctx: CanvasRenderingContext2D, stroke: string | CanvasPattern, style: CSSStyleDeclaration): void {
  ctx.strokeStyle = stroke;
  ctx.lineWidth = parseFloat(style.strokeWidth);
  ctx.lineCap = style.strokeLinecap as CanvasLineCap;
  ctx.lineJoin = style.strokeLinejoin as CanvasLineJoin;
  ctx.setLineDash(style.strokeDasharray === "none" ? [] : style.strokeDasharray.split(/[\s,]+/).map(parseFloat));
  ctx.lineDashOffset = parseFloat(style.strokeDashoffset) || 0;
}

/** Each part of it where its first character is: that has anchor, baseline and shifts in it. */
function write(ctx: CanvasRenderingContext2D, text: SVGTextElement): void {
  const parts = text.childElementCount ? [...text.children] : [text];
  for (const part of parts) {
    if (!(part instanceof SVGTextContentElement) || part.getNumberOfChars() === 0) continue;
    const style = getComputedStyle(part);
    const words = (part.textContent ?? "").replace(/\s+/g, " ").trim();
    const { x, y } = part.getStartPositionOfChar(0);
    ctx.font = fontOf(style);
    if (style.letterSpacing !== "normal") ctx.letterSpacing = style.letterSpacing;
    ctx.textAlign = "left";
    ctx.textBaseline = "alphabetic";
    const [fill, stroke] = [inkOf(ctx, style.fill), inkOf(ctx, style.stroke)];
    const alpha = ctx.globalAlpha;
    ctx.globalAlpha = alpha * Number(style.fillOpacity);
    if (stroke !== null) {
      pen(ctx, stroke, style);
      ctx.strokeText(words, x, y); // below the fill: a halo
    }
    if (fill !== null) {
      ctx.fillStyle = fill;
      ctx.fillText(words, x, y);
    }
    ctx.globalAlpha = alpha;
  }
}

/** Not `style.font`, which is empty where a part of it has no short form. */
export const fontOf = (style: CSSStyleDeclaration): string =>
  `${style.fontStyle} ${style.fontWeight} ${style.fontSize} ${style.fontFamily}`;

function inkOf(ctx: CanvasRenderingContext2D, value: string): Ink {
  if (value === "none" || value === "transparent") return null;
  if (!value.startsWith("url(")) return value;
  const pattern = referred(value);
  return pattern instanceof SVGPatternElement ? inkOfPattern(ctx, pattern) : null;
}

function inkOfPattern(ctx: CanvasRenderingContext2D, pattern: SVGPatternElement): Ink {
  const [width, height] = [pattern.width.baseVal.value, pattern.height.baseVal.value];
  const tile = document.createElement("canvas");
  tile.width = Math.max(1, Math.round(width * PATTERN_SCALE));
  tile.height = Math.max(1, Math.round(height * PATTERN_SCALE));
  const inside = tile.getContext("2d");
  if (!inside) return null;
  inside.scale(tile.width / width, tile.height / height);
  for (const child of pattern.children) paint(inside, child);
  const ink = ctx.createPattern(tile, "repeat");
  const turned = new DOMMatrix();
  for (const { matrix } of pattern.patternTransform.baseVal) turned.multiplySelf(DOMMatrix.fromMatrix(matrix));
  turned.translateSelf(pattern.x.baseVal.value, pattern.y.baseVal.value);
  ink?.setTransform(turned.scaleSelf(width / tile.width, height / tile.height));
  return ink;
}

function referred(value: string): Element | null {
  const id = /#([^"')]+)["']?\)/.exec(value)?.[1];
  return id ? document.getElementById(id) : null;
}
