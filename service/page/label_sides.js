// On which side of its point each label is written, so that labels cover little and do not overlap.

// The direction from the point to the text; the first is taken where several are as good.
const SIDES = [[1, 0], [-1, 0], [1, 1], [-1, 1], [1, -1], [-1, -1], [0, 1], [0, -1]];
// A covered point is a blemish, overlapping labels are unreadable, a label outside the picture is cut off.
const POINT = 1;
const LABEL = 100;
const OUTSIDE = 1000;
// Of the font size: a letter is about so wide, a line so high, and so far from its point.
const LETTER = 0.56;
const LINE = 1.3;
const GAP = 0.8;

/**
 * plotly's `textposition` for each label.
 *
 * @param labels `{x, y, text}` in pixels, y upwards, in the order in which they are placed.
 * @param points `[x, y]` that should not be covered.
 * @param frame `{width, height}` of the picture.
 */
export function labelSides(labels, points, frame, fontSize) {
  const placed = [];
  return labels.map((label) => {
    const boxes = SIDES.map((side) => boxOf(label, side, fontSize));
    const costs = boxes.map((box) => cost(box, placed, points, frame));
    const best = costs.indexOf(Math.min(...costs));
    placed.push(boxes[best]);
    const [right, up] = SIDES[best];
    return `${["bottom", "middle", "top"][up + 1]} ${["left", "center", "right"][right + 1]}`;
  });
}

/** Points on a line through corners, at most a step apart: what must not be covered either. */
export function along(corners, step) {
  return corners.slice(1).flatMap(([x, y], i) => {
    const [fromX, fromY] = corners[i];
    const nSteps = 1 + Math.floor(Math.max(Math.abs(x - fromX), Math.abs(y - fromY)) / step);
    return Array.from({ length: nSteps }, (_, k) => [fromX + ((x - fromX) * k) / nSteps, fromY + ((y - fromY) * k) / nSteps]);
  });
}

function boxOf(label, [right, up], fontSize) {
  const width = LETTER * fontSize * label.text.length;
  const height = LINE * fontSize;
  const left = label.x + right * GAP * fontSize + ((right - 1) / 2) * width;
  const bottom = label.y + up * GAP * fontSize + ((up - 1) / 2) * height;
  return { left, bottom, right: left + width, top: bottom + height };
}

function cost(box, placed, points, { width, height }) {
  const isOutside = box.left < 0 || box.bottom < 0 || box.right > width || box.top > height;
  const overlapping = placed.filter((other) => overlaps(box, other)).length;
  const covered = points.filter(([x, y]) => x > box.left && x < box.right && y > box.bottom && y < box.top).length;
  return OUTSIDE * isOutside + LABEL * overlapping + POINT * covered;
}

function overlaps(one, other) {
  return one.left < other.right && other.left < one.right && one.bottom < other.top && other.bottom < one.top;
}
