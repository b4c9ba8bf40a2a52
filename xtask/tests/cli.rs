//! The command line is consistent and takes what maxlik may want.

use clap::{CommandFactory as _, Parser as _};
use xtask::cli::{Cli, Command};

#[test]
fn the_declaration_is_consistent() {
    Cli::command().debug_assert();
}

#[test]
fn arguments_of_maxlik_are_not_read_here() {
    let line = "xtask sample runs/a -n 16 --device=cuda:1 --out x -- --odd";
    let Command::Sample(arguments) = Cli::parse_from(line.split(' ')).command else {
        panic!("another command");
    };
    assert_eq!(arguments.rest.join(" ".as_ref()), *line.strip_prefix("xtask sample ").unwrap());
    let Command::Reproduce(arguments) = Cli::parse_from(["xtask", "reproduce", "--all"]).command
    else {
        panic!("another command");
    };
    assert_eq!(arguments.rest, ["--all"]);
}

#[test]
fn a_driver_is_only_waived_for_cuda() {
    assert!(Cli::try_parse_from(["xtask", "setup", "--without-driver"]).is_err());
    assert!(Cli::try_parse_from(["xtask", "setup", "--cuda", "--without-driver"]).is_ok());
}
