// Colour maps. The maps are grey pictures, which filters colour by tables; another colour map is another table.

const chosenColors = {}; // the colour map of "plain" and of "signed" maps

/** Offer the colour maps that these rows can have, and use the one that is chosen for them. */
function offerColors(list) {
  const kind = list.some((row) => row.signed) ? "signed" : "plain";
  const names = Object.keys(data.colors[kind]);
  controls.colors.dataset.kind = kind;
  controls.colors.replaceChildren(...names.map((name) => new Option(name, name)));
  controls.colors.value = chosenColors[kind] ?? names[0];
}

/** Colour the maps by the colour map that is selected. */
function useColors() {
  const { kind } = controls.colors.dataset;
  const name = controls.colors.value;
  if ((chosenColors[kind] ?? Object.keys(data.colors[kind])[0]) === name) return;
  chosenColors[kind] = name;
  const colors = data.colors[kind][name].match(/.{6}/g);
  const filters = kind === "signed" ? "#signed-colors, #signed-heat" : "#colors, #heat";
  for (const filter of document.querySelectorAll(filters)) {
    ["R", "G", "B"].forEach((channel, i) => {
      const levels = colors.map((color) => (parseInt(color.slice(2 * i, 2 * i + 2), 16) / 255).toPrecision(4));
      filter.querySelector(`feFunc${channel}`).setAttribute("tableValues", levels.join(" "));
    });
  }
  const stops = colors.filter((_, i) => i % 17 === 0).map((color) => `#${color}`);
  const bar = kind === "signed" ? "--signed-bar" : "--bar";
  document.documentElement.style.setProperty(bar, `linear-gradient(to right, ${stops.join(", ")})`);
}
