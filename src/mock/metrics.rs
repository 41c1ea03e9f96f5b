//! What was served, as Prometheus reads it (OpenMetrics 1.0): read from the counters at each scrape, so that serving
//! costs nothing more.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;

use super::agent::Served;

#[derive(Debug)]
struct Figures {
    served: Served,
    executing: u64,
    waiting: u64,
}

/// The text of a scrape; `load` is how many tasks hold a slot, and how many do not yet.
pub(super) fn render(served: &Served, (executing, waiting): (u64, u64)) -> String {
    let mut registry = Registry::with_prefix("plimsoll_mock");
    registry.register_collector(Box::new(Figures { served: *served, executing, waiting }));
    let mut text = String::new();
    encode(&mut text, &registry).expect("a string takes any text");
    text
}

impl Collector for Figures {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let served = &self.served;
        let counters = [
            ("connections", "Connections taken", served.connections),
            ("requests", "Requests read whole", served.requests),
            ("refused", "Requests refused", served.refused),
            ("invocations", "Invocations begun", served.invocations),
            ("completed", "Invocations whose task ended as completed", served.completed),
            ("not_completed", "Invocations whose task ended otherwise", served.not_completed),
            ("broken", "Invocations that a fault of the script answered or broke off", served.broken),
            ("hung_up", "Invocations whose client hung up before the end", served.hung_up),
            ("events", "Events of invocations that ended", served.events),
        ];
        for (name, help, value) in counters {
            let counter = ConstCounter::new(value);
            counter.encode(encoder.encode_descriptor(
                name,
                help,
                None,
                prometheus_client::metrics::MetricType::Counter,
            )?)?;
        }
        let gauges = [
            ("executing", "Tasks that hold a slot", self.executing),
            ("waiting", "Tasks that do not hold a slot yet", self.waiting),
        ];
        for (name, help, value) in gauges {
            let gauge = ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX));
            gauge.encode(encoder.encode_descriptor(
                name,
                help,
                None,
                prometheus_client::metrics::MetricType::Gauge,
            )?)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scrape_has_every_counter() {
        let served = Served { invocations: 3, completed: 2, events: 100, ..Served::default() };
        insta::assert_snapshot!(render(&served, (1, 4)), @"
        # HELP plimsoll_mock_connections Connections taken
        # TYPE plimsoll_mock_connections counter
        plimsoll_mock_connections_total 0
        # HELP plimsoll_mock_requests Requests read whole
        # TYPE plimsoll_mock_requests counter
        plimsoll_mock_requests_total 0
        # HELP plimsoll_mock_refused Requests refused
        # TYPE plimsoll_mock_refused counter
        plimsoll_mock_refused_total 0
        # HELP plimsoll_mock_invocations Invocations begun
        # TYPE plimsoll_mock_invocations counter
        plimsoll_mock_invocations_total 3
        # HELP plimsoll_mock_completed Invocations whose task ended as completed
        # TYPE plimsoll_mock_completed counter
        plimsoll_mock_completed_total 2
        # HELP plimsoll_mock_not_completed Invocations whose task ended otherwise
        # TYPE plimsoll_mock_not_completed counter
        plimsoll_mock_not_completed_total 0
        # HELP plimsoll_mock_broken Invocations that a fault of the script answered or broke off
        # TYPE plimsoll_mock_broken counter
        plimsoll_mock_broken_total 0
        # HELP plimsoll_mock_hung_up Invocations whose client hung up before the end
        # TYPE plimsoll_mock_hung_up counter
        plimsoll_mock_hung_up_total 0
        # HELP plimsoll_mock_events Events of invocations that ended
        # TYPE plimsoll_mock_events counter
        plimsoll_mock_events_total 100
        # HELP plimsoll_mock_executing Tasks that hold a slot
        # TYPE plimsoll_mock_executing gauge
        plimsoll_mock_executing 1
        # HELP plimsoll_mock_waiting Tasks that do not hold a slot yet
        # TYPE plimsoll_mock_waiting gauge
        plimsoll_mock_waiting 4
        # EOF
        ");
    }
}
