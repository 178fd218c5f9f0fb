//! The 46 rules of ingress-nginx that manifests in use rely on: one test for each, through the real proxy.
//!
//! A rule is held to the recorded cases that are about it (`rows` in `tests/oracle/cases.json`): each request gets the answer
//! that it got from the original, or one that `tests/oracle/differences.yaml` lists. What the recording did not probe of a
//! rule is shown by a test in [`beyond`].

mod beyond;

use std::collections::BTreeSet;

use crate::oracle::{recording, replay};

/// So many rules there are.
const COUNT: u8 = 46;

/// Declares the rules: number and name, and the test of what shows beside the recording. Each becomes a test of its name.
macro_rules! rules {
    ($($number:literal $name:ident $(and $beyond:path)?;)*) => {
        /// Number and name of each rule, and the tests of what shows beside the recording.
        const RULES: &[(u8, &str, &[&str])] = &[$(($number, stringify!($name), &[$(stringify!($beyond))?])),*];

        $(
            #[tokio::test]
            async fn $name() {
                holds($number).await;
                $($beyond().await;)?
            }
        )*
    };
}

rules! {
    1 row_01_the_class_of_an_ingress_is_that_of_its_spec_and_then_that_of_its_annotation;
    2 row_02_the_oldest_ingress_wins_and_of_one_second_the_last_by_name;
    3 row_03_of_one_host_and_path_the_first_of_each_path_type_counts;
    4 row_04_what_a_host_has_is_what_its_first_ingress_says and beyond::the_certificate_of_a_host_is_that_of_its_oldest_ingress;
    5 row_05_what_no_path_takes_gets_the_default_backend_under_the_annotations_of_the_oldest_ingress;
    6 row_06_a_default_backend_is_for_every_host_or_for_the_hosts_of_its_ingress;
    7 row_07_an_exact_host_beats_a_wildcard_which_is_one_label;
    8 row_08_a_path_without_a_type_is_a_prefix;
    9 row_09_a_prefix_takes_whole_segments_of_the_normalised_path_and_the_longest_wins;
    10 row_10_a_missing_trailing_slash_is_a_301;
    11 row_11_one_regular_expression_makes_all_paths_of_its_host_such;
    12 row_12_a_rewrite_puts_the_groups_of_the_path_into_its_target;
    13 row_13_app_root_takes_the_root_of_a_host_before_everything_else;
    14 row_14_http_is_redirected_where_the_host_has_a_certificate;
    15 row_15_any_tls_entry_gives_all_hosts_of_its_ingress_a_certificate;
    16 row_16_a_secret_that_is_no_good_for_its_host_gives_the_default_certificate;
    17 row_17_the_name_in_the_handshake_chooses_the_certificate;
    18 row_18_answers_over_tls_say_hsts_but_those_of_the_host_itself;
    19 row_19_the_redirect_of_a_route_comes_before_the_one_to_https_and_before_its_guards;
    20 row_20_a_redirect_takes_no_variable_and_a_code_out_of_range_is_the_default;
    21 row_21_the_name_with_or_without_www_is_redirected_to_the_other_with_its_port;
    22 row_22_an_alias_serves_unless_a_host_has_that_name;
    23 row_23_what_redirects_and_refuses_comes_in_one_order;
    24 row_24_a_service_without_endpoints_is_a_503;
    25 row_25_an_unknown_host_or_path_is_a_404;
    26 row_26_a_listed_status_is_answered_by_the_default_backend;
    27 row_27_a_port_of_a_service_is_named_by_number_by_name_or_by_target and beyond::ports_are_named_in_three_ways;
    28 row_28_what_the_oldest_ingress_says_of_a_service_port_holds_for_all;
    29 row_29_a_canary_takes_requests_by_header_then_cookie_then_weight;
    30 row_30_a_session_cookie_keeps_a_client_with_its_endpoint;
    31 row_31_a_hash_sends_equal_keys_to_one_endpoint;
    32 row_32_a_failed_request_is_tried_three_times_unless_an_endpoint_may_have_acted_on_it;
    33 row_33_a_password_is_asked_for_and_a_secret_that_cannot_be_read_closes_the_route;
    34 row_34_a_service_is_asked_whether_a_request_may_pass;
    35 row_35_a_host_asks_for_client_certificates;
    36 row_36_a_rate_is_counted_for_each_client_over_all_paths_of_an_ingress;
    37 row_37_preflights_are_answered_and_every_answer_says_what_scripts_may_do;
    38 row_38_a_body_over_the_limit_is_a_413;
    39 row_39_endpoints_learn_of_the_client_from_headers_that_it_cannot_forge;
    40 row_40_endpoints_are_spoken_to_in_the_protocol_that_is_asked_for and beyond::grpc_is_spoken_to_endpoints;
    41 row_41_a_service_stands_for_its_endpoints_where_that_is_asked_for;
    42 row_42_without_its_flag_ssl_passthrough_changes_nothing and beyond::tls_ends_here_without_the_flag;
    43 row_43_a_mirror_gets_a_copy_and_its_answer_goes_nowhere;
    44 row_44_an_invalid_value_is_left_out_or_drops_its_ingress_or_closes_its_routes;
    45 row_45_a_snippet_takes_its_ingress_out_of_service and beyond::a_snippet_is_told_and_may_be_passed_over;
    46 row_46_websockets_pass_for_as_long_as_is_asked_and_http_2_goes_with_tls and beyond::websockets_and_http_2_pass;
}

/// Holds a rule to the recorded cases about it.
async fn holds(number: u8) {
    let row = replay().await.row(number);
    assert!(row.wrong.is_empty(), "row {number}: {}", row.wrong.join("\n"));
    let beyond = RULES.iter().find(|(rule, ..)| *rule == number).map_or(&[][..], |rule| rule.2);
    assert!(row.same > 0 || !beyond.is_empty(), "row {number}: nothing shows that it holds, {} differ", row.listed);
}

#[test]
fn there_are_46_rows_and_each_has_its_test() {
    let numbers: Vec<u8> = RULES.iter().map(|(number, ..)| *number).collect();
    assert_eq!(numbers, Vec::from_iter(1..=COUNT));
    for (number, name, _) in RULES {
        assert!(name.starts_with(&format!("row_{number:02}_")), "{name} is rule {number}");
    }
    let recorded: BTreeSet<u8> = recording().into_iter().flat_map(|case| case.rows).collect();
    assert!(recorded.iter().all(|row| (1..=COUNT).contains(row)), "{recorded:?}");
    let unseen: Vec<u8> = numbers
        .into_iter()
        .zip(RULES)
        .filter(|(number, rule)| rule.2.is_empty() && !recorded.contains(number))
        .map(|(number, _)| number)
        .collect();
    assert!(unseen.is_empty(), "rules that no recorded case and no other test is about: {unseen:?}");
}
