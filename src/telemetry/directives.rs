//! What `--log-level` means: our own events at that level, libraries from a warning up.

use tracing_subscriber::filter::LevelFilter;

/// Libraries whose lines help nobody below a warning. A target is a prefix: `hyper` is `hyper_util` too.
const LIBRARIES: [&str; 6] = ["hyper", "h2", "rustls", "reqwest", "tower", "opentelemetry"];

/// They log every certificate that fails, and every answer of a kube-apiserver that is none, as a whole; we say what
/// matters of it ourselves.
const SILENT: &str = "rustls_platform_verifier=off,kube_client=off,kube_runtime=off";

/// The directives for a level or directives that a user gave; later ones go before earlier ones, so the user's win.
///
/// # Errors
/// The word that is neither a level nor a directive with `=`.
pub(super) fn complete(given: &str) -> Result<String, String> {
    let mut global = LevelFilter::OFF;
    for word in words(given) {
        match word.parse::<LevelFilter>() {
            Ok(level) => global = level,
            Err(_) if word.contains(['=', '[', ']', '{', '}']) => {}
            Err(_) => return Err(word.to_owned()),
        }
    }
    let level = global.min(LevelFilter::WARN);
    let libraries: Vec<_> = LIBRARIES.iter().map(|library| format!("{library}={level}")).collect();
    let given: Vec<_> = words(given).collect();
    Ok(format!("{},{SILENT},{}", libraries.join(","), given.join(",")))
}

fn words(given: &str) -> impl Iterator<Item = &str> {
    given.split(',').map(str::trim).filter(|word| !word.is_empty())
}

#[cfg(test)]
mod tests {
    use tracing_subscriber::EnvFilter;

    use super::*;

    fn check(given: &str, directive: &str) {
        let complete = complete(given).expect(given);
        let filter = EnvFilter::try_new(&complete).unwrap_or_else(|error| panic!("{complete}: {error}")).to_string();
        assert!(filter.split(',').any(|part| part == directive), "{directive} is not in {filter}");
    }

    #[test]
    fn libraries_are_quiet_until_the_user_names_them() {
        check("info", "info");
        check("info", "hyper=warn");
        check("debug", "rustls_platform_verifier=off");
        check("error", "hyper=error");
        check("plimsoll::scrape=debug", "h2=off");
        check("INFO, hyper=debug", "hyper=debug");
        check("info,rustls_platform_verifier=error", "rustls_platform_verifier=error");
    }

    #[test]
    fn a_word_that_is_no_level_is_refused() {
        for (given, word) in [("wran", "wran"), ("info,plimsoll", "plimsoll"), ("info, debg ,a=b", "debg")] {
            assert_eq!(complete(given), Err(word.to_owned()));
        }
    }
}
