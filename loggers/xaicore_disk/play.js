// From step to step, by hand or by itself.

const PAUSE = 600; // milliseconds a step
let timer = null;

function stepBy(by) {
  controls.step.value = controls.step.valueAsNumber + by; // the control keeps it in its range
  update();
}

function atEnd() {
  return controls.step.valueAsNumber === steps.length - 1;
}

/** Play from here, from the end from the beginning; or pause. */
function play() {
  if (timer !== null || steps.length < 2) return stop();
  if (atEnd()) controls.step.value = 0;
  timer = setInterval(advance, PAUSE);
  update();
  warm(nextEntries());
  tellPlaying(true);
}

function advance() {
  stepBy(1);
  if (atEnd()) stop();
  else warm(nextEntries());
}

function stop() {
  clearInterval(timer);
  timer = null;
  tellPlaying(false);
}

function nextEntries() {
  return entriesAt(selection, controls.step.valueAsNumber + 1);
}

function tellPlaying(playing) {
  for (const button of document.querySelectorAll(".play")) {
    button.classList.toggle("playing", playing);
    button.setAttribute("aria-label", playing ? "pause" : "play");
    button.title = playing ? "pause (Space)" : "play (Space)";
  }
  form.querySelector(".status").setAttribute("aria-live", playing ? "off" : "polite");
}
