//! The table of metrics.

use super::{summary, text};
use crate::report::csv;

#[test]
fn the_table_of_metrics_has_a_row_for_each() {
    let table = text(|out| csv::write(&summary(), out));
    let lines: Vec<_> = table.lines().take(5).collect();
    insta::assert_snapshot!(lines.join("\n"), @"
    variant,metric,row,count,censored,failed,min_ns,mean_ns,max_ns,p50_ns,p50_ns_low,p50_ns_high,p50_refused,p90_ns,p90_ns_low,p90_ns_high,p90_refused,p95_ns,p95_ns_low,p95_ns_high,p95_refused,p99_ns,p99_ns_low,p99_ns_high,p99_refused,p99.9_ns,p99.9_ns_low,p99.9_ns_high,p99.9_refused
    ,ttfc_from_intended,all,689,2,9,200000000,249936139,300000000,250000000,247000000,254000000,,292000000,290000000,294000000,,297000000,295000000,299000000,,,300000000,,never,,,,n<6636
    ,ttfc_from_intended,completed,689,0,0,200000000,249936139,300000000,250000000,246000000,254000000,,291000000,288000000,293000000,,295000000,294000000,297000000,,300000000,299000000,300000000,,,,,n<6636
    ,ttfc_from_sent,all,689,2,9,199880000,249816139,299880000,249880000,246880000,253880000,,291880000,289880000,293880000,,296880000,294880000,298880000,,,299880000,,never,,,,n<6636
    ,ttfc_from_sent,completed,689,0,0,199880000,249816139,299880000,249880000,245880000,253880000,,290880000,287880000,292880000,,294880000,293880000,296880000,,299880000,298880000,299880000,,,,,n<6636
    ");
}
