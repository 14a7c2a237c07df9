// Words for the title and the sentence.

const NOUN = /^[a-z]+([ '-][a-z]+)*$/i; // a name that reads as a noun; others are quoted

function definite(name) {
  return withArticle(name, "the");
}

/** "a cat", "an ant"; a plural has no article. */
function indefinite(name) {
  if (/[^s]s$/i.test(name) && NOUN.test(name)) return name;
  return withArticle(name, /^[aeiou]/i.test(name) ? "an" : "a");
}

function withArticle(name, article) {
  if (/^class \d+$/.test(name)) return name;
  return NOUN.test(name) ? `${article} ${name}` : `“${name}”`;
}

function capitalised(text) {
  return text.slice(0, 1).toUpperCase() + text.slice(1);
}

/** "1 picture", "2 pictures". */
function counted(number, noun) {
  return `${number} ${noun}${number === 1 ? "" : "s"}`;
}

/** The first names, and how many more there are. */
function listed(names, one, several, most = 6, between = ", ") {
  const left = names.length - most;
  const named = names.slice(0, most).join(between);
  return left > 0 ? `${named} and ${left} more ${left === 1 ? one : several}` : named;
}
