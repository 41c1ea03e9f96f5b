//! The page for people.

use super::{certificate, run, seconds, summary, text};
use crate::report::html;

#[test]
fn the_page_opens_offline_and_shows_hostile_text_as_text() {
    let mut run = run();
    run.why = "<script>alert(1)</script>".into();
    run.target = "http://a/\"onload=\"x".into();
    run.profile = serde_json::json!({"</pre><img src=x>": "'&"});
    let page = text(|out| html::write(&run, &summary(), &certificate(), &seconds(), out));
    assert!(page.contains("&lt;script&gt;alert(1)&lt;/script&gt;"), "{page}");
    for forbidden in ["<script", "<img", "onload=\"", "src=\"", "href=", "url(", "@import", "NaN", "inf"] {
        assert!(!page.contains(forbidden), "{forbidden} stands in\n{page}");
    }
    assert!(page.contains("default-src 'none'"), "nothing is fetched");
    assert_eq!((page.matches("<svg").count(), page.matches("</svg>").count()), (3, 3));
    for shown in ["DEGRADED", "in flight after the drain", "p99.9", "250ms", "1 s", "planned", "fnv1a64:0"] {
        assert!(page.contains(shown), "{shown} is missing in\n{page}");
    }
    let plot = page.split("<svg").nth(2).and_then(|rest| rest.split("</svg>").next()).expect("a plot");
    insta::assert_snapshot!(plot, @r##"
     viewBox="0 0 760 260" role="img" aria-label="Quantiles of each second">
    <path class="grid" d="M72 226.0H744"/><text class="scale" x="64" y="230.0">0</text>
    <path class="grid" d="M72 173.5H744"/><text class="scale" x="64" y="177.5">75.5ms</text>
    <path class="grid" d="M72 121.0H744"/><text class="scale" x="64" y="125.0">151ms</text>
    <path class="grid" d="M72 68.5H744"/><text class="scale" x="64" y="72.5">226ms</text>
    <path class="grid" d="M72 16.0H744"/><text class="scale" x="64" y="20.0">302ms</text>
    <text class="mark" x="72.0" y="244">0 s</text>
    <text class="mark" x="408.0" y="244">1 s</text>
    <text class="mark" x="744.0" y="244">2 s</text>
    <path stroke="#2a7de1" class="curve" d="M72.0 52.2h0M744.0 52.2h0"><title>time to first chunk, p50</title></path>
    <path stroke="#7fb2f0" class="curve" d="M72.0 17.4h0L408.0 16.7L744.0 16.0"><title>time to first chunk, p99</title></path>
    <path stroke="#d1495b" class="curve" d=""><title>time to task_finished, p99</title></path>
    "##);
}
