// A finger on a card shows the picture without its heat, as the mouse over it does; a long one, too.

let peeked = null;

function peek(card) {
  peeked?.classList.remove("peeked");
  peeked = card;
  peeked?.classList.add("peeked");
}

grid.addEventListener("pointerdown", ({ pointerType, target }) => {
  if (pointerType === "touch") peek(target.closest(".card"));
});
grid.addEventListener("contextmenu", (event) => peeked && event.preventDefault());
for (const end of ["pointerup", "pointercancel"]) window.addEventListener(end, () => peek(null));
