// The finished candidates of a search in columns, as `points` events bring them.

/** Grows by what is new; index `i` of every column is the same candidate. */
export class PointColumns {
  constructor(objectives) {
    this.objectives = objectives;
    this.clear();
  }

  clear() {
    this.numbers = [];
    this.values = this.objectives.map(() => []);
    this.errors = this.objectives.map(() => []);
    this.landmarks = [];
    this.failures = [];
    this.indexOf = new Map();
    this.nFailed = 0;
    this.spent = 0;
  }

  get size() {
    return this.numbers.length;
  }

  /** Takes the data of an event; what is known already is passed over. */
  take(points) {
    if (points.reset) this.clear();
    points.numbers.forEach((number, i) => {
      if (!this.indexOf.has(number)) this.#append(points, number, i);
    });
  }

  #append(points, number, i) {
    this.indexOf.set(number, this.size);
    this.numbers.push(number);
    this.objectives.forEach((objective, k) => {
      this.values[k].push(points.values[objective][i]);
      this.errors[k].push(points.standard_errors[objective][i]);
    });
    this.landmarks.push(points.landmarks[i]);
    this.failures.push(points.failures[i]);
    this.spent += points.costs?.[i] ?? 1;
    if (points.failures[i] !== null) this.nFailed += 1;
  }

  succeeded(index) {
    return this.failures[index] === null;
  }

  /** What a candidate is called. */
  label(index) {
    return this.landmarks[index] ?? `trial ${this.numbers[index]}`;
  }
}
