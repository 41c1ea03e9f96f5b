//! `objectives`: what must hold of a run or of a scenario, each read as it was written and held against the profile.

use super::form::Form;
use super::problem::Fault;
use crate::metrics::Objective;
use crate::metrics::objective::Scope;
use crate::profile::{Load, Scenario, Variant};
use crate::units::{Human, NS_PER_S};

/// The key, and what `--slo` stands for.
const KEY: &str = "objectives";

/// What the profile has that an objective can be about.
type Shape<'p> = (&'p [Variant], &'p [Scenario]);

/// Reads the objectives, those of scenarios behind those at the top; what is wrong is noted in the form.
pub(super) fn read(form: &mut Form, shape: Shape<'_>, load: &Load) -> Vec<Objective> {
    let mut objectives: Vec<Objective> = Vec::new();
    let mut keys = vec![(KEY.to_owned(), None)];
    let named = shape.1.iter().enumerate().filter(|(_, scenario)| !scenario.name.is_empty());
    keys.extend(named.map(|(at, scenario)| (format!("scenario[{at}].objectives"), Some(&*scenario.name))));
    for (key, scenario) in keys {
        for text in form.texts(&key) {
            let read = text.parse::<Objective>().and_then(|objective| match scenario {
                None => Ok(objective),
                Some(name) => objective.of_scenario(name),
            });
            match read {
                Ok(objective) => {
                    refuse_scope(form, &key, &objective, shape);
                    refuse_window(form, &key, &objective, load);
                    if let Some(conflict) = objectives.iter().find_map(|other| objective.conflict(other)) {
                        form.contradiction(&key, format!("{text:?}: {conflict}"), "keep one of them");
                    }
                    objectives.push(objective);
                }
                Err(error) => {
                    let origin = form.origin(&key).cloned();
                    form.report(origin.as_ref(), &key, Fault::Objective(error));
                }
            }
        }
    }
    objectives
}

/// A scope must name what the profile has.
fn refuse_scope(form: &mut Form, key: &str, objective: &Objective, (variants, scenarios): Shape<'_>) {
    let (kind, name, mut known): (_, _, Vec<&str>) = match objective.scope() {
        None => return,
        Some(Scope::Variant(name)) => ("variant", name, variants.iter().map(|variant| &*variant.name).collect()),
        Some(Scope::Scenario(name)) => ("scenario", name, scenarios.iter().map(|scenario| &*scenario.name).collect()),
    };
    // The scenario of a profile that has none has no name.
    known.retain(|name| !name.is_empty());
    if known.contains(&&**name) {
        return;
    }
    let known = if known.is_empty() { "there is none".to_owned() } else { format!("known are {}", known.join(", ")) };
    let reason = format!("\"{objective}\": the profile has no {kind} {name:?}; {known}");
    form.contradiction(key, reason, "name one of them, or leave out the braces");
}

/// A window must fit into what is measured.
fn refuse_window(form: &mut Form, key: &str, objective: &Objective, load: &Load) {
    let (Some(window), Some(duration_ns)) = (objective.window(), load.duration_ns) else { return };
    let measured_ns = duration_ns.saturating_sub(load.warmup_ns);
    if window.seconds.saturating_mul(NS_PER_S) > measured_ns {
        let length = Human(window.seconds.saturating_mul(NS_PER_S));
        let reason = format!(
            "\"{objective}\": a window of {length} is longer than the {} that are measured (load.duration without load.warmup)",
            Human(measured_ns)
        );
        form.contradiction(key, reason, "shorten the window, or lengthen load.duration");
    }
}
