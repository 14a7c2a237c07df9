// Keyboard shortcuts. A control that has the focus keeps the keys that it needs itself.

document.addEventListener("keydown", (event) => {
  const { key, target } = event;
  if (event.ctrlKey || event.metaKey || event.altKey || target.matches("select, [type=search]")) return;
  const action = keyAction(key, target);
  if (!action) return;
  event.preventDefault();
  action();
});

function keyAction(key, target) {
  if (key.startsWith("Arrow")) return target.matches("input, .scroll") ? null : arrowAction(key, target);
  if (key === " ") {
    if (target.matches("button, summary, [type=checkbox]")) return null;
    return steps.length > 1 ? play : () => playFrames();
  }
  if (key.toLowerCase() === "j") return () => frameBy(-1);
  if (key.toLowerCase() === "k") return () => playFrames();
  if (key.toLowerCase() === "l") return () => frameBy(1);
  if (key === ",") return () => stepBy(-1);
  if (key === ".") return () => stepBy(1);
  if (key.toLowerCase() === "w") return () => controls.wrong.closest("label").hidden || controls.wrong.click();
  return key === "/" && !dialog.open ? () => controls.search.focus() : null;
}

function arrowAction(key, target) {
  const by = ["ArrowLeft", "ArrowUp"].includes(key) ? -1 : 1;
  const sideways = ["ArrowLeft", "ArrowRight"].includes(key);
  const cell = target.closest(".cell");
  if (cell) return () => moveFocus(cell, key);
  if (dialog.open && sideways) return () => turnPage(by);
  return dialog.open !== sideways && steps.length > 1 ? () => stepBy(by) : null; // else the key scrolls
}
