// Which merge is selected, and by what: the knee until a person chooses, then their choice.

/** Events: `change`, whenever the trial or the reason is another one. */
export class Selection extends EventTarget {
  trial = null;
  by = "knee";

  /** A trial that a person has named. */
  choose(trial) {
    this.#set(trial, "choice");
  }

  /** The best merge under the sliders' bounds. */
  constrain(trial) {
    this.#set(trial, "bounds");
  }

  /** Back to the knee, wherever it moves. */
  followKnee(trial) {
    this.#set(trial, "knee");
  }

  /** Takes a new knee, where the knee is what is selected. */
  kneeIs(trial) {
    if (this.by === "knee") this.#set(trial, "knee");
  }

  #set(trial, by) {
    if (trial === this.trial && by === this.by) return;
    this.trial = trial;
    this.by = by;
    this.dispatchEvent(new Event("change"));
  }
}
