//! `[budget]`: what a run may cost at most.

use super::form::Form;
use super::problem::Origin;
use super::{arrivals, url};
use crate::profile::{Budget, Load, Model, Place, Target};
use crate::units::{Rate, Significant};

/// The public API, whose documentation limits how often it may be asked.
const API_HOST: &str = "api.xpander.ai";

/// What is under each of its documented limits (100 a minute, 1,000 an hour), with room for the calls around a run.
const API_RATE: &str = "15/m";

/// What is under its documented limit of 5,000 a day, for a run that goes on for hours.
const API_INVOCATIONS: u64 = 4_500;

/// Reads the budget; what is wrong is noted in the form.
pub(super) fn read(form: &mut Form, target: &Target, load: &Load) -> Budget {
    let in_flight = form.number("budget.in_flight").map(|count| u32::try_from(count).expect("the table says so"));
    let is_api = matches!(&target.place, Place::Url(url) if is_api(&url::host(url)));
    let default_rate = || is_api.then(|| Rate::parse(API_RATE).expect("it is a rate"));
    let budget = Budget {
        invocations: form.number("budget.invocations").or(is_api.then_some(API_INVOCATIONS)),
        duration_ns: form.number("budget.duration"),
        in_flight,
        rate: form.rate("budget.rate").or_else(default_rate),
        brake: form.flag("budget.brake"),
        failures_in_a_row: form.number("budget.failures_in_a_row"),
        is_explicit: is_explicit(form),
    };
    within(form, &budget, load);
    budget
}

/// Whether a host is the public API's; with a dot at its end a name is the same one.
fn is_api(host: &str) -> bool {
    host.strip_suffix('.').unwrap_or(host) == API_HOST
}

/// Whether somebody has bounded this very run: how many at a time, and an end.
fn is_explicit(form: &Form) -> bool {
    let any_of = |keys: &[&str]| keys.iter().any(|key| form.origin(key).is_some());
    let on_the_command_line =
        |keys: &[&str]| keys.iter().any(|key| matches!(form.origin(key), Some(Origin::Flag(_) | Origin::Set)));
    let in_flight = any_of(&["budget.in_flight"]) || on_the_command_line(&["load.concurrency", "load.in_flight"]);
    let end = any_of(&["budget.invocations", "budget.duration"])
        || on_the_command_line(&["load.invocations", "load.duration"]);
    in_flight && end
}

/// What is known to break the budget before anything is sent.
fn within(form: &mut Form, budget: &Budget, load: &Load) {
    if let (Some(most), Some(asked)) = (budget.in_flight, load.in_flight())
        && asked > most
    {
        let by_limit = form.rank("load.in_flight") > 0 && form.rank("load.in_flight") >= form.rank("load.concurrency");
        let key = if by_limit { "load.in_flight" } else { "load.concurrency" };
        let reason = format!("{asked} conversations at a time are over budget.in_flight = {most}");
        form.contradiction(key, reason, "lower it, or raise the budget");
    }
    if let (Some(rate), Model::Open { pacer, .. }) = (budget.rate, &load.model) {
        let end_ns = load.duration_ns.or(pacer.end_ns()).unwrap_or(crate::units::NS_PER_S * 3_600).max(1);
        let asked = pacer.expected(end_ns) / end_ns as f64;
        // A trace of two starts has no rate to speak of; the brake holds whatever this lets through.
        if pacer.expected(end_ns) > 10.0 && asked > rate.per_ns() * 1.01 {
            let reason = format!(
                "the load starts {} a second, over budget.rate = {rate}{}",
                Significant(asked * 1e9),
                if form.origin("budget.rate").is_none() { " (the default for this host)" } else { "" }
            );
            let way = arrivals::way(form).unwrap_or("load.rate");
            form.contradiction(way, reason, "lower the load, or set budget.rate to what the target allows");
        }
    }
}
