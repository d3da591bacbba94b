// What the looks at a release said over time: the server's series, thinned by it to what a chart can
// show, and behind it what the stream has told since.
import * as api from "./api.js";

const POINTS = 500; // asked of the server
const LIVE = 400; // of the stream, before the series is asked for again

export class History {
  constructor(model, number) {
    this.model = model;
    this.number = number;
    this.series = null;
    this.late = []; // {time in s, verdicts by metric/arm}
    this.fault = "";
  }

  async load() {
    try {
      this.series = await api.series(this.model, this.number, { points: POINTS });
      this.fault = "";
      const end = (this.series.times?.at(-1) ?? 0) / 1000;
      this.late = this.late.filter((p) => p.time > end);
    } catch (err) {
      if (err.status === 401) throw err;
      this.fault = err.message; // charts say so; the rest of the page lives
    }
  }

  // see takes what the stream says. It is true when the series should be asked for again.
  see(r, seconds) {
    if (!r.verdicts?.length || this.late.at(-1)?.time >= seconds) return false;
    this.late.push({ time: seconds, by: new Map(r.verdicts.map((v) => [`${v.metric}/${v.arm}`, v])) });
    return this.late.length > LIVE;
  }

  // of one verdict: columns over time, in seconds. Where there is no interval yet, lo and hi are null.
  of(v) {
    const key = `${v.metric}/${v.arm}`;
    const m = this.series?.metrics?.find((x) => `${x.metric}/${x.arm}` === key);
    const out = { times: [], estimate: [], lo: [], hi: [], live: [], candidate: [], lnHarm: [], lnNoWorse: [], lnBetter: [], bar: m?.bar };
    for (const [i, ms] of (m ? this.series.times : []).entries()) {
      out.times.push(ms / 1000);
      for (const k of ["estimate", "lo", "hi", "live", "candidate", "lnHarm", "lnNoWorse", "lnBetter"]) out[k].push(m[k]?.[i] ?? null);
      if (out.lo.at(-1) === null) out.estimate[out.estimate.length - 1] = null;
    }
    for (const p of this.late) {
      const w = p.by.get(key);
      if (!w || out.times.at(-1) >= p.time) continue;
      out.times.push(p.time);
      out.estimate.push(w.level ? w.estimate : null);
      out.lo.push(w.level ? w.lo : null);
      out.hi.push(w.level ? w.hi : null);
      out.live.push(w.live.value);
      out.candidate.push(w.candidate.value);
      out.lnHarm.push(w.lnHarm);
      out.lnNoWorse.push(w.lnNoWorse);
      out.lnBetter.push(w.lnBetter);
    }
    return out;
  }
}
