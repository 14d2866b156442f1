/** Squares as near as can be: the greatest first, in rows along the shorter side of what is left. */

export interface Box {
  x: number;
  y: number;
  width: number;
  height: number;
}

/** Boxes whose areas are as the sizes, all above 0; together they fill the room. */
export function squarify(sizes: number[], width: number, height: number): Box[] {
  const order = sizes.map((_, index) => index).sort((a, b) => (sizes[b] ?? 0) - (sizes[a] ?? 0));
  const laid = layAll(
    order.map((index) => sizes[index] ?? 0),
    width,
    height,
  );
  const boxes: Box[] = [];
  for (const [at, index] of order.entries()) boxes[index] = laid[at] as Box;
  return boxes;
}

function layAll(sizes: number[], width: number, height: number): Box[] {
  const scale = (width * height) / sizes.reduce((sum, size) => sum + size, 0);
  const areas = sizes.map((size) => size * scale);
  const boxes: Box[] = [];
  let room: Box = { x: 0, y: 0, width, height };
  while (boxes.length < areas.length) {
    const side = Math.min(room.width, room.height);
    let [count, sum] = [1, areas[boxes.length] ?? 0];
    for (let at = boxes.length + 1; at < areas.length; at++) {
      const area = areas[at] ?? 0;
      const row = areas.slice(boxes.length, at);
      if (worst([...row, area], sum + area, side) > worst(row, sum, side)) break;
      sum += area;
      count++;
    }
    room = lay(areas.slice(boxes.length, boxes.length + count), sum, room, boxes);
  }
  return boxes;
}

/** The longest shape in a row along `side`: how many times its shorter edge the longer one is. */
function worst(row: number[], sum: number, side: number): number {
  const depth = sum / side;
  return Math.max(...row.map((area) => Math.max(depth / (area / depth), area / depth / depth)));
}

/** Put a row against the left or the top of the room; returns what is left of it. */
function lay(row: number[], sum: number, room: Box, boxes: Box[]): Box {
  const upright = room.height <= room.width; // the row goes down along the left edge
  const depth = upright ? sum / room.height : sum / room.width;
  let { x, y } = room;
  for (const area of row) {
    const length = area / depth;
    boxes.push(upright ? { x, y, width: depth, height: length } : { x, y, width: length, height: depth });
    if (upright) y += length;
    else x += length;
  }
  return upright
    ? { ...room, x: room.x + depth, width: Math.max(0, room.width - depth) }
    : { ...room, y: room.y + depth, height: Math.max(0, room.height - depth) };
}

/** As much of a text as there is room for; "" where that would be too little to tell anything by. */
export function fitting(text: string, room: number, widthOf: (text: string) => number): string {
  if (widthOf(text) <= room) return text;
  let [least, most] = [0, text.length];
  while (least < most) {
    const middle = Math.ceil((least + most) / 2);
    if (widthOf(`${text.slice(0, middle)}…`) <= room) least = middle;
    else most = middle - 1;
  }
  return least < 3 ? "" : `${text.slice(0, least).trimEnd()}…`;
}
