//! From the command line to a valid profile: file, environment and flags in their order.

use std::path::Path;

use crate::cli::ProfileArgs;
use crate::profile::{Origin, Override, Problem, Problems, Profile};

use anyhow::{Context, bail};

/// The profiles that are built in, by name; the first one holds when none is named.
const BUILT_IN: [(&str, &str); 6] = [
    ("quickstart", include_str!("../../profiles/quickstart.toml")),
    ("chat", include_str!("../../profiles/chat.toml")),
    ("tools", include_str!("../../profiles/tools.toml")),
    ("mixed", include_str!("../../profiles/mixed.toml")),
    ("open", include_str!("../../profiles/open.toml")),
    ("soak", include_str!("../../profiles/soak.toml")),
];

/// Reads the profile that the arguments mean.
///
/// # Errors
/// The file can't be read, or a value is wrong; each mistake says where it was written.
pub fn load(args: &ProfileArgs) -> anyhow::Result<Profile> {
    if args.api_key.is_some() {
        bail!(
            "failed to take an API key from the command line, where others can see it: put it into the environment (XPANDER_API_KEY) or into a file (target.key_file)"
        );
    }
    let (name, text) = text(args.profile.as_deref())?;
    let refuse = |list| Problems { file: name.clone(), list };
    // A variable that is no UTF-8 can be no setting of ours.
    let variables =
        std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    let mut overrides = Override::of_environment(variables, &[]).map_err(refuse)?;
    overrides.extend(flags(args).map_err(|problem| refuse(vec![problem]))?);
    Profile::parse_with(&name, &text, overrides, &mut |path| std::fs::read_to_string(path)).map_err(Into::into)
}

/// A file's name and text, or those of a built-in profile; a file wins over the built-in one of that name.
fn text(profile: Option<&Path>) -> anyhow::Result<(String, String)> {
    let (quickstart, _) = BUILT_IN[0];
    let path = profile.unwrap_or(Path::new(quickstart));
    let built_in = BUILT_IN.iter().find(|(name, _)| path == Path::new(name) && !path.exists());
    if let Some((name, text)) = built_in {
        return Ok(((*name).to_owned(), (*text).to_owned()));
    }
    let name = path.display().to_string();
    let names = BUILT_IN.map(|(name, _)| name).join(", ");
    let text = std::fs::read_to_string(path).with_context(|| {
        format!("failed to read the profile {name}: expected a TOML file, or one of the built-in profiles {names}")
    })?;
    Ok((name, text))
}

fn flags(args: &ProfileArgs) -> Result<Vec<Override>, Problem> {
    let named = [
        ("target.url", &args.url, "--url"),
        ("target.agent_id", &args.agent, "--agent"),
        ("load.concurrency", &args.concurrency, "-c"),
        ("load.invocations", &args.invocations, "-n"),
        ("load.duration", &args.duration, "-z"),
        ("load.rate", &args.rate, "-q"),
        ("load.plan", &args.replay, "--replay"),
        ("repeat.runs", &args.repeat, "--repeat"),
        ("repeat.pause", &args.pause, "--pause"),
        ("target.cacert", &args.cacert, "--cacert"),
        ("check.matches", &args.check_matches, "--check-matches"),
        ("target.proxy", &args.proxy, "--proxy"),
    ];
    let given = named
        .into_iter()
        .filter_map(|(key, value, flag)| value.as_ref().map(|text| Override::new(key, text, Origin::Flag(flag))));
    let lists = [
        ("objectives", &args.slo, "--slo"),
        ("check.contains", &args.check_contains, "--check-contains"),
        ("target.resolve", &args.resolve, "--resolve"),
        ("target.source", &args.source, "--source"),
    ];
    let lists = lists.into_iter().filter(|(_, texts, _)| !texts.is_empty()).map(|(key, texts, flag)| {
        // A list of texts is the same in JSON and in TOML.
        let list = serde_json::Value::from(texts.clone()).to_string();
        Override::new(key, &list, Origin::Flag(flag))
    });
    let headers = args.headers.iter().map(|text| Override::header(text));
    let set = args.set.iter().map(|text| Override::set(text));
    given.chain(lists).chain(headers).chain(set).collect()
}
