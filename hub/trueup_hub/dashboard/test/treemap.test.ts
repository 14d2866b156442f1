import { describe, expect, test } from "vitest";
import { fitting, squarify, type Box } from "../src/lib/treemap";

const area = ({ width, height }: Box) => width * height;
const longest = ({ width, height }: Box) => Math.max(width / height, height / width);

describe("boxes", () => {
  const sizes = [600, 300, 200, 100, 60, 30, 9, 1];
  const boxes = squarify(sizes, 1_000, 300);

  test("have areas as the sizes, and fill the room", () => {
    const scale = (1_000 * 300) / 1_300;
    for (const [index, size] of sizes.entries()) expect(area(boxes[index] as Box)).toBeCloseTo(size * scale, 3);
  });

  test("lie inside the room and do not overlap", () => {
    for (const [index, a] of boxes.entries()) {
      expect(a.x).toBeGreaterThanOrEqual(0);
      expect(a.y).toBeGreaterThanOrEqual(0);
      expect(a.x + a.width).toBeLessThanOrEqual(1_000.001);
      expect(a.y + a.height).toBeLessThanOrEqual(300.001);
      for (const b of boxes.slice(index + 1)) {
        const apart =
          a.x + a.width <= b.x + 0.001 ||
          b.x + b.width <= a.x + 0.001 ||
          a.y + a.height <= b.y + 0.001 ||
          b.y + b.height <= a.y + 0.001;
        expect(apart).toBe(true);
      }
    }
  });

  test("are near to squares", () => {
    expect(Math.max(...boxes.slice(0, 6).map(longest))).toBeLessThan(3);
    const many = squarify(
      Array.from({ length: 40 }, (_, n) => 1_000 / (n + 1)),
      1_200,
      320,
    );
    expect(many.map(longest).reduce((sum, one) => sum + one, 0) / 40).toBeLessThan(1.8);
  });

  test("stand as given, though the greatest comes last", () => {
    const [small, great] = squarify([1, 3], 400, 100);
    expect([area(small as Box), area(great as Box)]).toEqual([10_000, 30_000]);
  });

  test("of one part are all of the room, and of none there are none", () => {
    expect(squarify([7], 320, 200)).toEqual([{ x: 0, y: 0, width: 320, height: 200 }]);
    expect(squarify([], 320, 200)).toEqual([]);
  });
});

test("a name is cut where there is no room for it, and left out where nothing could be told by it", () => {
  const widthOf = (text: string) => text.length * 10;
  expect([fitting("website", 70, widthOf), fitting("website", 60, widthOf), fitting("website", 30, widthOf)]).toEqual([
    "website",
    "websi…",
    "",
  ]);
});
