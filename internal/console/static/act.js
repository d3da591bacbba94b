// Commands. Each asks for a reason in a dialog that says what it will do.
import { h, replace, toast } from "./dom.js";
import { t } from "./i18n.js";
import * as api from "./api.js";
import { allows, approves } from "./state.js";
import { ended, shareBar } from "./draw.js";
import { nextWords } from "./words.js";

const MAX_REASON = 1000; // bytes, as the API counts
const bytes = (text) => new TextEncoder().encode(text).length;

// stepOf is the step of the frozen file where the release stands.
const stepOf = (r) => r.spec?.spec?.plan?.steps?.[r.step];

// refusal says why a person can't give a command now, or "".
function refusal(r, verb) {
  if (!allows("operator")) return t("act.needsRole", { role: t("role.operator") });
  if (ended(r.phase)) return t("act.ended");
  if (!(r.explain?.can ?? []).includes(verb)) return t("act.notNow");
  const by = stepOf(r)?.approval?.by;
  if ((verb === "approve" || verb === "promote") && !approves(by)) return t("act.needsGroup", { groups: by.join(", ") });
  return "";
}

function values(r) {
  return { model: r.model, number: r.number, candidate: r.candidate, live: r.live, share: r.share, next: nextWords(r) || "–" };
}

const kinds = { abort: ".danger", undo: ".danger", promote: ".primary", approve: ".primary" };

function button(r, verb, run) {
  const why = refusal(r, verb);
  return h(`button${kinds[verb] ?? ""}`, {
    id: `act-${verb}`, type: "button", disabled: why !== "", title: why || t(`act.${verb}.does`, values(r)), onclick: run,
  }, t(`act.${verb}`));
}

// after is the share that follows at once, where a command changes it.
function after(r, verb) {
  if (verb === "abort") return "0%";
  if (verb === "pause" || verb === "resume" || verb === "retry" || verb === "adjust") return r.share;
  const now = r.steps?.[r.step];
  if (verb === "promote" && now?.stages > now?.stage) return stepOf(r)?.canary?.shares?.[now.stage] ?? "";
  return r.steps?.[r.step + 1]?.share ?? "";
}

function preview(r, verb) {
  const to = after(r, verb);
  const line = (name, share) => h("div", {}, h("dt", {}, name), h("dd", {}, shareBar(share), ` ${share}`));
  return to && h("dl.preview", {}, line(t("act.now"), r.share), line(t("act.then"), to));
}

// buttons of a release. Abort is always there. present returns the release as it is when a button is pressed.
export function buttons(present, model, done) {
  const r = present();
  const can = r.explain?.can ?? [];
  const ask = (verb) => () => {
    const now = present();
    dialog({
      verb, does: t(`act.${verb}.does`, values(now)), extra: [preview(now, verb), ...(verb === "adjust" ? [planField(now)] : [])],
      run: async (reason, form) => done(await api.command(now.model, now.number, verb, { reason, ...(verb === "adjust" ? { plan: planOf(form) } : {}) })),
    });
  };
  const verbs = ["approve", "promote", r.phase === "Paused" ? "resume" : "pause", "retry", "adjust", "abort"]
    .filter((verb) => !["approve", "retry", "adjust"].includes(verb) || can.includes(verb));
  const out = ended(r.phase) ? [] : verbs.map((verb) => button(r, verb, ask(verb)));
  if (model?.undoable === r.number && !model.running) out.push(undoButton(r));
  return group(out);
}

function group(out) {
  return h("div.actions", { role: "group", "aria-label": t("act.title") }, out,
    !allows("operator") && out.length > 0 && h("p.faint", {}, t("act.needsRole", { role: t("role.operator") })));
}

function undoButton(r) {
  return h("button.danger", {
    id: "act-undo", type: "button", disabled: !allows("operator"), title: t("act.undo.does", values(r)),
    onclick: () => dialog({ verb: "undo", does: t("act.undo.does", values(r)), run: async (reason) => goTo(await api.undo(r.model, reason)) }),
  }, t("act.undo"));
}

const goTo = (r) => { location.hash = `#/models/${encodeURIComponent(r.model)}/releases/${r.number}`; };

// modelButtons begin a release of a model, or take the latest success back.
export function modelButtons(m) {
  const others = (m.versions ?? []).filter((v) => v !== m.live);
  const why = !allows("operator") ? t("act.needsRole", { role: t("role.operator") }) : m.running ? t("act.runs", { n: m.running }) : others.length === 0 ? t("act.noVersion") : "";
  const to = () => h("label.field", { for: "to" }, h("span", {}, t("act.to")), h("select", { id: "to", name: "to" }, others.map((v) => h("option", { value: v }, v))));
  const out = [h("button.primary", {
    id: "act-release", type: "button", disabled: why !== "", title: why,
    onclick: () => dialog({ verb: "release", does: t("act.release.does", { model: m.name, live: m.live }), extra: [to()], run: async (reason, form) => goTo(await api.start(m.name, form.elements.to.value, reason)) }),
  }, t("act.release"))];
  if (m.undoable && !m.running && m.current?.number === m.undoable) out.push(undoButton(m.current));
  return group(out);
}

// planField shows the plan of the rest of the release, to be changed.
function planField(r) {
  const plan = r.spec?.spec?.plan ?? {};
  return h("label.field", { for: "plan" }, h("span", {}, t("act.plan")), h("textarea.code", { id: "plan", name: "plan", rows: 12, spellcheck: "false" }, JSON.stringify(plan, null, 2)));
}

function planOf(form) {
  try {
    return JSON.parse(form.elements.plan.value);
  } catch (err) {
    throw new api.Problem(0, t("act.planBad", { why: err.message }));
  }
}

// dialog asks for a reason and runs the command; a refusal is shown where it was asked for.
function dialog({ verb, does, extra, run }) {
  const reason = h("textarea", { id: "reason", name: "reason", rows: 3, required: true, maxlength: MAX_REASON, "aria-describedby": "does" });
  const fault = h("p.fault", { role: "alert" });
  const go = h(`button${kinds[verb] === ".danger" ? ".danger" : ".primary"}`, { type: "submit", id: "confirm" }, t(`act.${verb}`));
  const form = h("form", {
    onsubmit: async (event) => {
      event.preventDefault();
      const text = reason.value.trim();
      if (text === "" || bytes(text) > MAX_REASON) {
        fault.textContent = t(text === "" ? "act.reasonNeeded" : "act.reasonLong", { n: MAX_REASON });
        return;
      }
      go.disabled = true;
      try {
        await run(text, form);
        box.close();
        toast(t("act.done", { verb: t(`act.${verb}`) }));
      } catch (err) {
        fault.textContent = err.words ?? err.message;
        go.disabled = false;
      }
    },
  }, h("h2", { id: "act-head" }, t(`act.${verb}`)), h("p", { id: "does" }, does), extra,
  h("label", { for: "reason" }, t("act.reason")), reason, fault,
  h("div.actions.end", {}, h("button", { type: "button", onclick: () => box.close() }, t("act.cancel")), go));
  const back = document.activeElement?.id;
  const box = h("dialog", { "aria-labelledby": "act-head" }, form);
  box.addEventListener("close", () => {
    box.remove();
    if (back) document.getElementById(back)?.focus({ preventScroll: true });
  });
  document.body.append(box);
  box.showModal();
  reason.focus();
}

// sure turns a button into one that asks once more before it acts.
export function sure(label, aria, question, act) {
  const b = h("button.small", { type: "button", "aria-label": aria }, label);
  let asked = false;
  b.addEventListener("click", () => {
    if (asked) return void act();
    asked = true;
    b.classList.add("danger");
    replace(b, question);
    b.setAttribute("aria-label", `${question} ${aria}`);
  });
  return b;
}
