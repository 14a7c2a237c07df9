// The evidence in each slice of a volume, as a row of bars.

/** Fill the bars, and mark that of the slice that is shown. */
function fillProfile(host, row, part) {
  if (host.children.length !== partsOf(row) || host.row !== row) {
    host.replaceChildren(...Array.from({ length: partsOf(row) }, (_, i) => profileBar(row, i)));
    host.row = row;
  }
  host.querySelector(".here")?.classList.remove("here");
  host.children[part].classList.add("here");
}

function profileBar(row, part) {
  const bar = document.createElement("i");
  bar.style.setProperty("--share", partShare(row, part));
  return bar;
}

/** The part whose bar lies at a place in the window. */
function partAtX(host, x) {
  const { left, width } = host.getBoundingClientRect();
  return Math.min(Math.max(Math.floor(((x - left) / width) * host.children.length), 0), host.children.length - 1);
}
