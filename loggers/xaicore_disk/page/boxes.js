// Lines over a picture: the box of a row's target, the box of its evidence, and the outline of its evidence.

/** Draw or remove the boxes. Rows of older versions, and of several views, have none. */
function drawBoxes(stack, row) {
  const whole = row.size && row.input_size && partsOf(row) === 1;
  drawBox(stack, "target", row, whole && controls.boxes.checked ? targetBox(row) : null);
  drawBox(stack, "evidence", row, whole && controls.evidence.checked ? row.box : null);
}

/** The target's box, which is in pixels of the input, in those of the picture. */
function targetBox({ target_box: box, size, input_size: input }) {
  const [down, across] = [size[0] / input[0], size[1] / input[1]];
  return box && [box[0] * across, box[1] * down, box[2] * across, box[3] * down];
}

/** Draw the box of this name into a stack, or remove the one that is there; x0, y0, x1, y1 in pixels of the picture. */
function drawBox(stack, name, { size }, corners) {
  const [x0, y0, x1, y1] = corners ?? [0, 0, 0, 0];
  const there = stack.querySelector(`.box.${name}`);
  if (x1 <= x0) return there?.remove();
  const box = there ?? stack.appendChild(boxLines(name));
  box.setAttribute("viewBox", `0 0 ${size[1]} ${size[0]}`); // fitted like the picture, object-fit: contain
  const place = { x: x0, y: y0, width: x1 - x0, height: y1 - y0 };
  for (const line of box.children) for (const [key, value] of Object.entries(place)) line.setAttribute(key, value);
}

/** Two lines, one on the other. */
function boxLines(name) {
  const box = element("svg", { class: `box ${name}` });
  box.append(element("rect", {}), element("rect", {}));
  return box;
}

/** Show the outline that was logged; else a line at half of the scale, which a filter makes of the grey map. */
function drawLine(stack, row) {
  const logged = file(row, "outline");
  const grey = stack.classList.contains("small") ? smallOf(row, "grey")[1] : file(row, "grey");
  const source = controls.outline.checked && kindOf(row) === "grey" ? (logged ?? grey) : null;
  stack.classList.toggle("lined", source !== null && !logged);
  show(stack.querySelector(".line"), source);
}
