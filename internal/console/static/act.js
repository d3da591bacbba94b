// Commands. Each asks for a reason in a dialog that says what it will do.
import { h, toast } from "./dom.js";
import { t } from "./i18n.js";
import * as api from "./api.js";
import { allows, approves } from "./state.js";
import { ended } from "./draw.js";

const MAX_REASON = 1000; // bytes, as the API counts
const bytes = (text) => new TextEncoder().encode(text).length;

// present is the step of the frozen file where the release stands.
const present = (r) => r.spec?.spec?.plan?.steps?.[r.step];

// refusal says why a person can't give a command now, or "".
function refusal(r, verb) {
  if (!allows("operator")) return t("act.needsRole", { role: "operator" });
  if (ended(r.phase)) return t("act.ended");
  if (!(r.explain?.can ?? []).includes(verb)) return t("act.notNow");
  const by = present(r)?.approval?.by;
  if ((verb === "approve" || verb === "promote") && !approves(by)) return t("act.needsGroup", { groups: by.join(", ") });
  return "";
}

function values(r) {
  return { model: r.model, number: r.number, candidate: r.candidate, live: r.live, share: r.share, next: r.explain?.next || "–" };
}

function button(r, verb, run) {
  const why = refusal(r, verb);
  const kind = verb === "abort" ? ".danger" : verb === "promote" || verb === "approve" ? ".primary" : "";
  return h(`button${kind}`, {
    id: `act-${verb}`, type: "button", disabled: why !== "", title: why || t(`act.${verb}.does`, values(r)), onclick: run,
  }, t(`act.${verb}`));
}

// buttons of a release. Abort is always there.
export function buttons(r, model, done) {
  const can = r.explain?.can ?? [];
  const ask = (verb) => () => dialog(verb, t(`act.${verb}.does`, values(r)), async (reason) => {
    done(await api.command(r.model, r.number, verb, reason));
  });
  const verbs = ["approve", "promote", r.phase === "Paused" ? "resume" : "pause", "retry", "abort"]
    .filter((verb) => !["approve", "retry"].includes(verb) || can.includes(verb));
  const out = ended(r.phase) ? [] : verbs.map((verb) => button(r, verb, ask(verb)));
  if (model?.undoable === r.number && !model.running) {
    out.push(h("button.danger", {
      id: "act-undo", type: "button", disabled: !allows("operator"), title: t("act.undo.does", values(r)),
      onclick: () => dialog("undo", t("act.undo.does", values(r)), async (reason) => {
        const next = await api.undo(r.model, reason);
        location.hash = `#/models/${encodeURIComponent(next.model)}/releases/${next.number}`;
      }),
    }, t("act.undo")));
  }
  return h("div.actions", { role: "group", "aria-label": t("act.title") }, out,
    !allows("operator") && out.length > 0 && h("p.faint", {}, t("act.needsRole", { role: "operator" })));
}

// dialog asks for a reason and runs the command; a refusal is shown where it was asked for.
function dialog(verb, does, run) {
  const reason = h("textarea", { id: "reason", rows: 3, required: true, maxlength: MAX_REASON, "aria-describedby": "does" });
  const fault = h("p.fault", { role: "alert" });
  const go = h(`button${verb === "abort" || verb === "undo" ? ".danger" : ".primary"}`, { type: "submit", id: "confirm" }, t(`act.${verb}`));
  const box = h("dialog", { "aria-labelledby": "act-head" }, h("form", {
    onsubmit: async (event) => {
      event.preventDefault();
      const text = reason.value.trim();
      if (text === "" || bytes(text) > MAX_REASON) {
        fault.textContent = t(text === "" ? "act.reasonNeeded" : "act.reasonLong", { n: MAX_REASON });
        return;
      }
      go.disabled = true;
      try {
        await run(text);
        box.close();
        toast(t("act.done", { verb: t(`act.${verb}`) }));
      } catch (err) {
        fault.textContent = err.remedy ? `${err.message}. ${err.remedy}` : err.message;
        go.disabled = false;
      }
    },
  }, h("h2", { id: "act-head" }, t(`act.${verb}`)), h("p", { id: "does" }, does),
  h("label", { for: "reason" }, t("act.reason")), reason, fault,
  h("div.actions.end", {}, h("button", { type: "button", onclick: () => box.close() }, t("act.cancel")), go)));
  box.addEventListener("close", () => box.remove());
  document.body.append(box);
  box.showModal();
  reason.focus();
}
