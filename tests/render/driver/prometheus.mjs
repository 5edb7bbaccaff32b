// What a Prometheus answers. Times and steps are in seconds.

export class Prometheus {
  constructor(address) {
    if (!/^http:\/\/(127\.\d+\.\d+\.\d+|\[::1\]|localhost)(:\d+)?\/?$/.test(address ?? '')) {
      throw new Error(`--prometheus ${address}: expected an address on loopback, http://127.0.0.1:9090`);
    }
    this.address = address.replace(/\/$/, '');
  }

  instant(query, time) {
    return this.#ask('query', { query, time });
  }

  range(query, { start, end, step }) {
    return this.#ask('query_range', { query, start, end, step });
  }

  labelValues(label, series, { start, end }) {
    return this.#ask(`label/${label}/values`, { ...(series && { 'match[]': series }), start, end });
  }

  async #ask(what, parameters) {
    const response = await fetch(`${this.address}/api/v1/${what}?${new URLSearchParams(parameters)}`);
    const answer = await response.json();
    if (answer.status !== 'success') throw new Error(`${answer.error}: ${parameters.query ?? what}`);
    return answer.data;
  }
}
