// The box of a row's target, over its picture.

/** Draw the box into a stack, or remove the one that is there. Rows of older versions, and of several views, have none. */
function drawBox(stack, row) {
  const has = Boolean(row.target_box && row.size && row.input_size) && partsOf(row) === 1;
  if (!has) return stack.querySelector(".box")?.remove();
  const [height, width] = row.size;
  const box = stack.querySelector(".box") ?? stack.appendChild(boxLines());
  box.setAttribute("viewBox", `0 0 ${width} ${height}`); // fitted like the picture, object-fit: contain
  const across = width / row.input_size[1];
  const down = height / row.input_size[0];
  const [x0, y0, x1, y1] = row.target_box;
  const place = { x: x0 * across, y: y0 * down, width: (x1 - x0) * across, height: (y1 - y0) * down };
  for (const line of box.children) for (const [name, value] of Object.entries(place)) line.setAttribute(name, value);
}

/** Two lines, one on the other. */
function boxLines() {
  const made = (name) => document.createElementNS("http://www.w3.org/2000/svg", name);
  const box = made("svg");
  box.setAttribute("class", "box");
  box.append(made("rect"), made("rect"));
  return box;
}
