//! Each rule of docs/SECURITY.md and each row of the failure table has a test, and this is which.

use std::path::Path;

/// Rule, file, test.
const RULES: &[(u32, &str, &str)] = &[
    (1, "tests/config/machine.rs", "a_configuration_that_others_may_write_is_refused"),
    (1, "tests/config/machine.rs", "a_folder_that_others_may_write_is_refused_for_root"),
    (2, "tests/config/messages.rs", "limits_hold_at_their_edge"),
    (3, "tests/config/messages.rs", "a_wrong_value_is_an_error_in_its_line"),
    (4, "tests/config/numbers.rs", "an_odd_number_is_an_error_or_exactly_that"),
    (5, "tests/trust/s40_access.rs", "s5_the_socket_is_private_and_no_other_place_leads_to_it"),
    (6, "tests/sys/socket.rs", "a_folder_that_others_may_write_must_be_sticky"),
    (6, "tests/sys/lock.rs", "a_folder_that_others_may_write_must_be_sticky"),
    (7, "tests/trust/s40_access.rs", "s7_a_stranger_is_denied_whatever_the_file_lets_through"),
    (8, "tests/trust/s40_access.rs", "s8_readers_read_and_admins_order"),
    (9, "tests/e2e/s10_environment.rs", "row_54_a_poisoned_start_environment"),
    (10, "tests/trust/s40_access.rs", "s10_those_who_may_not_order_take_few_places"),
    (10, "tests/e2e/s05_frames.rs", "row_42_one_connection_more_closes_the_one_idle_longest"),
    (11, "tests/wire.rs", "every_message_is_short_and_printable"),
    (12, "tests/logs/safety.rs", "links_that_others_could_have_laid_are_refused"),
    (12, "tests/logs/safety.rs", "in_a_folder_of_the_user_things_are_done_as_the_user"),
    (13, "tests/logs/safety.rs", "a_backup_that_is_no_file_stops_that_rotation_and_nothing_else"),
    (14, "tests/sys/socket.rs", "what_is_not_a_dead_socket_of_ours_is_refused_and_stays_as_it_was"),
    (15, "tests/sys/lock.rs", "what_is_not_a_pidfile_is_refused_and_stays_as_it_was"),
    (16, "tests/trust/s22_state_file.rs", "row_23_and_50_damage_of_every_shape"),
    (17, "tests/trust/s21_decoys.rs", "row_21_decoys_live_and_each_refusal_is_one_line"),
    (18, "tests/trust/s21_decoys.rs", "row_21_groups_that_mean_everybody_or_us"),
    (18, "src/engine/instance/order.rs", "a_stop_before_exec_kills_at_once"),
    (19, "tests/sys/failures.rs", "a_user_nobody_knows_never_becomes_root"),
    (20, "tests/sys/order.rs", "a_child_takes_its_steps_in_the_one_right_order"),
    (21, "tests/sys/failures.rs", "a_switch_that_the_kernel_only_pretends_is_noticed"),
    (22, "tests/sys/spawn.rs", "a_daemon_started_in_a_poisoned_world_starts_clean_children"),
    (23, "tests/e2e/s08_processes.rs", "row_19_children_of_another_user_die_too"),
    (24, "tests/sys/spawn.rs", "no_new_privs_only_where_it_was_asked_for"),
    (25, "tests/sys/spawn.rs", "the_environment_is_composed_and_scrubbed"),
    (25, "tests/e2e/s10_environment.rs", "row_54_no_secret_in_the_log"),
    (26, "tests/sys/failures.rs", "a_command_in_the_working_directory_is_not_on_the_path"),
    (26, "tests/sys/failures.rs", "root_runs_nothing_that_others_may_write"),
    (27, "tests/health/scripts.rs", "it_runs_as_the_user_of_its_program"),
    (27, "tests/health/scripts.rs", "one_that_hangs_is_ended_with_all_it_made"),
    (28, "tests/ctl.rs", "a_stranger_in_a_folder_that_others_may_write_is_not_believed"),
    (29, "tests/trust/s60_nth_failure.rs", "nth_failure_of_an_accept"),
    (29, "tests/logs/model.rs", "any_single_call_may_fail"),
    (30, "tests/trust/s40_access.rs", "s7_a_stranger_is_denied_whatever_the_file_lets_through"),
    (30, "tests/trust/s21_decoys.rs", "row_21_decoys_live_and_each_refusal_is_one_line"),
];

/// Rows whose test does not bear their number.
const ROWS: &[(u32, &str, &str)] = &[
    (23, "tests/trust/s22_state_file.rs", "row_23_and_50_damage_of_every_shape"),
    (29, "tests/logs/files.rs", "a_full_disk_drops_and_heals_within_five_seconds"),
    (30, "tests/logs/files.rs", "a_removed_folder_heals_when_it_is_back"),
    (34, "tests/logs/files.rs", "ten_mebibytes_of_numbered_lines_leave_a_contiguous_tail"),
    (38, "tests/output/reading.rs", "row_38_bytes_that_are_no_text_come_back_as_they_are"),
    (39, "tests/config/messages.rs", "a_file_that_two_write_is_warned_of"),
    (64, "tests/e2e/s12_clock.rs", "row_53_the_wall_clock_jumps"),
];

fn read(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|problem| panic!("{}: {problem}", path.display()))
}

fn is_there(path: &str, name: &str) -> bool {
    read(path).contains(&format!("    fn {name}()")) || read(path).contains(&format!("\nfn {name}()"))
}

#[test]
fn every_rule_of_security_has_a_test() {
    let page = read("docs/SECURITY.md");
    for rule in 1..=30 {
        assert!(page.contains(&format!("\n| S{rule} |")), "S{rule} is not on the page");
        assert!(RULES.iter().any(|(number, ..)| *number == rule), "S{rule} has no test");
    }
    for (rule, path, name) in RULES {
        assert!(is_there(path, name), "S{rule}: {name} is not in {path}");
    }
}

#[test]
fn every_row_of_the_failure_table_has_a_test() {
    let folders = ["tests/e2e", "tests/trust", "tests/health"];
    let texts: String = folders
        .iter()
        .flat_map(|folder| std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)).unwrap().flatten())
        .filter(|entry| entry.path().extension().is_some_and(|kind| kind == "rs"))
        .map(|entry| std::fs::read_to_string(entry.path()).unwrap())
        .collect();
    for row in 1..=65 {
        let named = texts.contains(&format!("\nfn row_{row:02}_"));
        assert!(named || ROWS.iter().any(|(number, ..)| *number == row), "row {row} has no test");
    }
    for (row, path, name) in ROWS {
        assert!(is_there(path, name), "row {row}: {name} is not in {path}");
    }
}
