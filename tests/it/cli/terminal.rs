//! What the terminal and packages need of the program: completions, man pages, and facts of the build.

use std::process::Command;

use super::program::Program;

/// Returns what bash would offer for the last word of a command line.
fn completed(script: &str, words: &[&str]) -> Vec<String> {
    let complete = "eval \"$0\"; COMP_WORDS=(\"$@\"); COMP_CWORD=$(($# - 1)); \
                    _cloakroom cloakroom \"${COMP_WORDS[COMP_CWORD]}\" \"${COMP_WORDS[COMP_CWORD - 1]}\"; \
                    printf '%s\\n' \"${COMPREPLY[@]}\"";
    let output = Command::new("bash").args(["-c", complete, script]).args(words).output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

#[test]
fn bash_completes_commands_and_options() {
    let script = Program::new(&["completions", "bash"]).run().stdout;

    assert_eq!(completed(&script, &["cloakroom", "se"]), ["serve", "sessions"]);
    assert_eq!(completed(&script, &["cloakroom", "sessions", "revoke-s"]), ["revoke-subject"]);
    assert_eq!(completed(&script, &["cloakroom", "serve", "--c"]), ["--config"]);
}

#[test]
fn there_are_completions_for_zsh_and_fish() {
    for (shell, has) in [("zsh", "#compdef cloakroom\n"), ("fish", "complete -c cloakroom ")] {
        let ended = Program::new(&["completions", shell]).run();

        assert_eq!(ended.code, Some(0));
        assert!(ended.stdout.contains(has), "{}", ended.stdout);
    }
}

#[test]
fn every_command_has_a_man_page() {
    let folder = tempfile::tempdir().unwrap();

    let ended = Program::new(&["man-pages", folder.path().to_str().unwrap()]).run();

    assert_eq!(ended.code, Some(0), "{ended:?}");
    let page = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap();
    for command in Program::new(&["--help"]).run().stdout.lines().skip_while(|line| *line != "Commands:").skip(1) {
        // A command stands behind two spaces, the rest of its description behind more.
        let Some(name) = command.strip_prefix("  ").filter(|line| !line.starts_with(' ')) else {
            if command.is_empty() {
                break;
            }
            continue;
        };
        let name = name.split(' ').next().unwrap();
        if name != "help" {
            assert!(page(&format!("cloakroom-{name}.1")).contains(".SH SYNOPSIS"), "{name}");
        }
    }
    assert!(page("cloakroom-sessions-revoke.1").contains("End sessions by their ids"));
    assert!(page("cloakroom.1").contains("the configuration is wrong"));
    assert!(!page("cloakroom.1").contains("man-pages"), "it is for packages alone");
    for file in std::fs::read_dir(folder.path()).unwrap() {
        assert!(!std::fs::read_to_string(file.unwrap().path()).unwrap().contains('\u{1b}'), "styles are for terminals");
    }
}

#[test]
fn version_says_how_the_program_was_built() {
    let short = Program::new(&["--version"]).run().stdout;
    let long = Program::new(&["version"]).run().stdout;

    assert_eq!(short, format!("cloakroom {}\n", env!("CARGO_PKG_VERSION")));
    assert!(long.starts_with(&short), "{long}");
    let facts: Vec<&str> = long.lines().skip(1).filter_map(|line| line.split_whitespace().next()).collect();
    assert_eq!(facts, ["commit", "profile", "target", "compiler"], "{long}");
    assert!(long.contains("rustc 1.") && long.contains("-linux-"), "{long}");
}

/// Returns what a command prints on a terminal with these variables.
fn on_terminal(arguments: &[&str], variables: &[(&str, &str)]) -> String {
    let program = variables.iter().fold(Program::new(arguments), |program, (name, value)| program.env(name, value));
    program.run_on_terminal(80).1
}

#[test]
fn a_terminal_gets_colours_unless_it_or_its_user_refuses_them() {
    let doctor: &[&str] = &["doctor", "--timeout", "1ms"];
    for arguments in
        [&["--help"], &["serve", "--wrong"][..], &["sessions", "stats", "--address", "unix:/nowhere"], doctor]
    {
        let colored = on_terminal(arguments, &[("TERM", "xterm"), ("NO_COLOR", "")]);
        let refused = on_terminal(arguments, &[("TERM", "xterm"), ("NO_COLOR", "1")]);
        let dumb = on_terminal(arguments, &[("TERM", "dumb")]);

        assert!(colored.contains('\u{1b}'), "{arguments:?}: {colored}");
        assert!(!refused.contains('\u{1b}') && !refused.is_empty(), "{arguments:?}: {refused}");
        assert!(!dumb.contains('\u{1b}') && !dumb.is_empty(), "{arguments:?}: {dumb}");
    }
}

#[test]
fn a_pipe_gets_no_colours_unless_they_are_forced_and_json_never() {
    let doctor = |format: &str| Program::new(&["doctor", "--timeout", "1ms", "--format", format]).env("TERM", "xterm");

    let piped = doctor("text").run();
    let forced = doctor("text").env("CLICOLOR_FORCE", "1").run();
    let json = doctor("json").env("CLICOLOR_FORCE", "1").run();
    let on_terminal = doctor("json").run_on_terminal(80).1;

    assert!(!piped.stdout.contains('\u{1b}') && piped.stdout.contains("ok "), "{}", piped.stdout);
    assert!(forced.stdout.contains('\u{1b}'), "{}", forced.stdout);
    assert!(!json.stdout.contains('\u{1b}') && !on_terminal.contains('\u{1b}'), "{}", json.stdout);
}

#[test]
fn help_fits_the_terminal_and_breaks_at_words() {
    for columns in [40, 60, 80, 200] {
        let help = Program::new(&["sessions", "list", "--help"]).run_on_terminal(columns).1;

        let longest = help.lines().map(|line| line.chars().count()).max().unwrap();
        assert!(
            longest <= usize::from(columns.min(80)) && help.contains("--used-since"),
            "{columns}: {longest}\n{help}"
        );
    }
}

#[test]
fn findings_fit_the_terminal() {
    let columns = |columns| Program::new(&["doctor", "--timeout", "1ms"]).run_on_terminal(columns).1;

    for narrow in [20, 40, 80] {
        for line in columns(narrow).lines() {
            let is_one_word = !line.trim().contains(' ');
            assert!(line.chars().count() <= usize::from(narrow) || is_one_word, "{narrow}: {line}");
        }
    }
    assert!(columns(80).lines().count() > columns(2000).lines().count());
}
