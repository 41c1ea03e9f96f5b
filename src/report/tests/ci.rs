//! The test cases for CI.

use super::{certificate, run, summary, text};
use crate::report::junit;

#[test]
fn ci_gets_a_test_case_for_each_objective_and_for_trust() {
    let mut run = run();
    run.id = "a<b>&\"c\"\u{1b}".into();
    insta::assert_snapshot!(text(|out| junit::write(&run, &summary(), &certificate(), out)), @r#"
    <?xml version="1.0" encoding="UTF-8"?>
    <testsuites>
      <testsuite name="a&lt;b&gt;&amp;&quot;c&quot;�" timestamp="2026-01-01T00:00:00" tests="6" failures="2" errors="0" time="1.700">
        <testcase classname="plimsoll" name="the measurement can be trusted" time="1.700"><system-out>DEGRADED start lag p99 is 3.00ms, over 2.50ms (a worker was busy, up to 91 % of a core): lower the load (-c, -q) by 12 % or more, or add cores</system-out></testcase>
        <testcase classname="plimsoll" name="invocations complete" time="1.700"><system-out>689 of 700 planned starts completed</system-out></testcase>
        <testcase classname="plimsoll" name="ttfc p95 &lt; 1s" time="1.700"><system-out>pass: 297ms (295ms–299ms)</system-out></testcase>
        <testcase classname="plimsoll" name="finish p95 &lt; 999ms" time="1.700"><failure message="fail: 1.00s (1.00s–1.00s)"/></testcase>
        <testcase classname="plimsoll" name="success &gt; 99.5%" time="1.700"><failure message="fail: 98.71 % (97.57 %–99.41 %)"/></testcase>
        <testcase classname="plimsoll" name="goodput &gt; 5/s" time="1.700"><system-out>pass: 377.06/s (367.55/s–385.09/s)</system-out></testcase>
        <system-err>2 invocations were still in flight after the drain of 30.0s and were cut: raise load.drain to see them end</system-err>
      </testsuite>
    </testsuites>
    "#);
}
