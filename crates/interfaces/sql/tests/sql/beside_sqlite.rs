//! INSERT, UPDATE, DELETE and expressions beside SQLite itself: the same statements have
//! to leave the same rows, answer the same, and fail with the same words.

use crate::both::{Answer, Both};

#[test]
fn plain_statements_do_what_sqlite_does() {
    let both = Both::filled();
    for sql in [
        "INSERT INTO t VALUES (4, 40, 'four', 4.5, 4)",
        "INSERT INTO t (id, d) VALUES (5, 5), (6, 1 + 5)",
        "INSERT INTO t (id, a) SELECT id + 10, a + 100 FROM t WHERE id < 3 ORDER BY id",
        "INSERT INTO t (b, c, id) VALUES ('y', 1, 20), ('z', 2, 21)",
        "INSERT INTO t (id, a, b, a) VALUES (22, 901, 'twice', 902)",
        "INSERT INTO t (id, a) VALUES ((SELECT max(id) FROM t) + 1, 81), ((SELECT max(id) FROM t) + 2, 82)",
        "INSERT INTO t (id, c) SELECT 30, 30 FROM t JOIN (SELECT 1 AS conflict) ON conflict = id",
        "INSERT INTO t (id, c) SELECT max(id) + 1, 77 FROM t",
        "UPDATE t SET c = c * 2, b = b || '!' WHERE id IN (1, 2)",
        "UPDATE t SET d = d + 1",
        "UPDATE t SET a = NULL WHERE a > 100",
        "UPDATE t SET (b, c) = ('row', 9.5) WHERE id = 1",
        "UPDATE t SET (b, c) = (SELECT b || '?', c + 1 FROM t AS o WHERE o.id = t.id + 1) WHERE id < 3",
        "UPDATE t SET a = (SELECT max(a) FROM t) + 1 WHERE id = 2",
        "UPDATE t AS u SET d = (SELECT count(*) FROM t WHERE t.id <= u.id)",
        "UPDATE t SET d = o.d + 100 FROM t AS o WHERE o.id = t.id + 1",
        "UPDATE t SET c = q.n FROM (SELECT id AS k, id * 1.5 AS n FROM t) AS q WHERE q.k = t.id AND t.id > 3",
        "WITH big AS (SELECT id FROM t WHERE d > 100) UPDATE t SET a = NULL WHERE id IN big",
        "UPDATE t SET id = id + 1000 WHERE id = 3",
        "UPDATE t SET id = 2000, d = 7 WHERE id = 1003",
        "UPDATE t SET rowid = 2001 WHERE rowid = 2000",
        "UPDATE t SET d = 1, d = 2 WHERE id = 4",
        "WITH x(v) AS (VALUES (301), (302)) INSERT INTO t (id, c) SELECT v, v FROM x",
        "INSERT INTO t (id, c) WITH x(v) AS (VALUES (303)) SELECT v, v FROM x",
        "INSERT INTO t (id, c) SELECT 411, 1 UNION ALL SELECT 412, 2 UNION SELECT 412, 2 ORDER BY 1 DESC LIMIT 2",
        "INSERT INTO t (id, c) SELECT l.id + 500, r.id + 500 FROM t AS l JOIN t AS r ON r.id = l.id + 1 LEFT JOIN t USING (id) WHERE l.id < 10",
        "INSERT INTO t (id, c) SELECT id + 600, 600 + row_number() OVER (PARTITION BY b ORDER BY id) + id FROM t WHERE id < 10",
        "INSERT INTO t (id, c) SELECT max(id) + 700, d + 700.25 FROM t GROUP BY d HAVING count(*) > 1 ORDER BY d",
        "INSERT INTO t (id, c) SELECT DISTINCT 800, 800 FROM t NATURAL JOIN (SELECT 1 AS one) CROSS JOIN (VALUES (1))",
        "INSERT INTO t (id, c) SELECT value + 900, 900 + key FROM json_each('[1, 2]')",
        "INSERT INTO main.t (id, c) SELECT * FROM (WITH n(i) AS (SELECT 950) SELECT i, i FROM n)",
        "INSERT INTO \"t\" (\"id\", [c]) VALUES ((SELECT 960), (SELECT 961))",
        "UPDATE t NOT INDEXED SET d = d + 1 WHERE id = 960",
        "UPDATE t SET c = l.i + r.i FROM (SELECT 960 AS i) AS l JOIN (SELECT 1 AS i) AS r ON l.i > r.i WHERE t.id = l.i",
        "UPDATE t SET c = i FROM (SELECT 950 AS i), (SELECT 2 AS k) WHERE t.id = i AND k = 2",
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3) UPDATE t SET d = 3 + i FROM n WHERE t.id = n.i",
        "DELETE FROM main.t WHERE id IN (SELECT id FROM t ORDER BY id DESC LIMIT 3)",
        "DELETE FROM t WHERE d = 2",
        "DELETE FROM t AS u WHERE u.id > 300 AND EXISTS (SELECT 1 FROM t WHERE t.id = u.id + 1)",
        "WITH x AS (SELECT min(id) AS id FROM t) DELETE FROM t WHERE id = (SELECT id FROM x)",
        "DELETE FROM t WHERE id = 999",
        "DELETE FROM t",
    ] {
        let answer = both.run(sql);
        assert!(matches!(answer, Answer::Rows(..)), "{sql}: {answer:?}");
    }
    both.is_clean();
}

const CLAUSES: [&str; 6] = ["", "OR ABORT", "OR FAIL", "OR IGNORE", "OR REPLACE", "OR ROLLBACK"];

#[test]
fn conflict_clauses_of_insert_do_what_sqlite_does() {
    for clause in CLAUSES {
        for rows in [
            // The key, each unique index, both, several records at once.
            "(id, a, d) VALUES (7, 70, 7), (1, 11, 7), (8, 80, 7)",
            "(id, a, d) VALUES (7, 70, 7), (9, 20, 7), (8, 80, 7)",
            "(id, b, c, d) VALUES (7, 'one', 1.5, 7), (8, 'q', 1, 7)",
            "(id, a, b, c, d) VALUES (7, 10, 'two', 2.5, 7), (8, 30, 'q', 1, 7)",
            "(id, a, b, c, d) VALUES (1, 20, 'three', 3.5, 7), (8, 81, 'q', 1, 7)",
            // Within the statement.
            "(id, a) VALUES (7, 70), (7, 71), (8, 72)",
            "(id, a) VALUES (7, 70), (8, 70), (9, 72)",
            "(id, a) SELECT id + 5, 40 FROM t ORDER BY id",
            // NOT NULL, with a default and an expression as default.
            "(id, b) VALUES (7, 'p'), (8, NULL), (9, 'q')",
            "(id, d) VALUES (7, 1), (8, NULL), (9, 2)",
            // CHECK: before what is unique.
            "(id, d) VALUES (7, 1), (8, 0), (9, 2)",
            "(id, a, d) VALUES (7, 71, 1), (1, 10, -1), (9, 72, 2)",
            // Of another type: no clause is about it.
            "(id, a) VALUES (7, 1), (8, 'x'), (9, 2)",
            "(id, a) VALUES (7, 1), (8, 1.5), (9, 2)",
            // NULLs never collide.
            "(id, a, b, c) VALUES (7, NULL, 'one', NULL), (8, NULL, 'one', NULL)",
        ] {
            Both::filled().run(&format!("INSERT {clause} INTO t {rows}"));
        }
    }
    let both = Both::filled();
    both.run("REPLACE INTO t (id, a) VALUES (1, 20), (5, 30)");
    both.run("REPLACE INTO t SELECT id, 99, b, c, d FROM t ORDER BY id");
    both.is_clean();
}

#[test]
fn conflict_clauses_of_update_do_what_sqlite_does() {
    for clause in CLAUSES {
        for set in [
            "a = 20 WHERE id = 1",
            "a = 20",
            "a = a + 10",
            "a = a - 10",
            "id = id + 1",
            "id = id - 1",
            "id = 3, a = 20 WHERE id = 1",
            "b = 'two', c = 2.5 WHERE id <> 2",
            "b = NULL, c = id",
            "d = NULL",
            "d = d - 2",
            "a = 'x'",
            "d = CASE id WHEN 2 THEN 0 ELSE 9 END",
            "id = CASE id WHEN 2 THEN 1 ELSE id + 10 END, d = d + 1",
        ] {
            let both = Both::filled();
            both.run(&format!("UPDATE {clause} t SET {set}"));
            both.is_clean();
        }
    }
}

#[test]
fn or_rollback_ends_the_transaction_and_or_fail_keeps_what_was_before() {
    let both = Both::filled();
    both.run("BEGIN");
    both.run("INSERT INTO t (id) VALUES (50)");
    both.run("INSERT OR FAIL INTO t (id) VALUES (51), (1), (52)");
    assert!(both.session.is_in_transaction());
    both.run("SAVEPOINT s");
    both.run("UPDATE OR FAIL t SET d = d - 2");
    both.run("ROLLBACK TO s");
    both.run("INSERT OR ROLLBACK INTO t (id) VALUES (60), (1)");
    assert!(!both.session.is_in_transaction() && both.sqlite.is_autocommit());
    both.is_clean();
}

#[test]
fn a_statement_that_fails_leaves_nothing() {
    let both = Both::filled();
    let fails = [
        "INSERT INTO t (id, a) VALUES (50, 1), (51, 2), (52, 10)",
        "INSERT INTO t (id, a) SELECT id + 50, 10 FROM t",
        "INSERT INTO t (id, d) VALUES (50, 1), (51, 0)",
        "UPDATE t SET a = 5, d = d + 1",
        "UPDATE t SET id = 9",
        "REPLACE INTO t (id, a, d) VALUES (60, 10, 1), (61, 20, 0)",
    ];
    for sql in fails {
        assert!(matches!(both.run(sql), Answer::Error(_)), "{sql}");
    }
    both.run("BEGIN");
    both.run("INSERT INTO t (id, a) VALUES (4, 40)");
    for sql in fails {
        assert!(matches!(both.run(sql), Answer::Error(_)), "{sql}");
    }
    both.run("SAVEPOINT s");
    both.run("UPDATE t SET a = a + 1000");
    for sql in fails {
        both.run(sql);
    }
    both.run("ROLLBACK TO s");
    for sql in fails {
        assert!(matches!(both.run(sql), Answer::Error(_)), "{sql}");
    }
    both.run("RELEASE s");
    both.run("COMMIT");
    both.is_clean();
}

#[test]
fn upserts_do_what_sqlite_does() {
    for sql in [
        "INSERT INTO t (id, a) VALUES (1, 99), (5, 50) ON CONFLICT DO NOTHING",
        "INSERT INTO t (id, a) VALUES (1, 99), (5, 50) ON CONFLICT (id) DO NOTHING",
        "INSERT INTO t (id, a) VALUES (5, 10), (6, 60) ON CONFLICT (id) DO NOTHING",
        "INSERT INTO t (id, a) VALUES (1, 20) ON CONFLICT (a) DO NOTHING",
        "INSERT INTO t (id, d) VALUES (1, 0) ON CONFLICT DO NOTHING",
        "INSERT INTO t (id, b) VALUES (1, NULL) ON CONFLICT DO NOTHING",
        "INSERT INTO t (id, d) VALUES (1, 8), (5, 9) ON CONFLICT (id) DO UPDATE SET d = d + excluded.d",
        "INSERT INTO t (id, d) VALUES (1, 8) ON CONFLICT (rowid) DO UPDATE SET d = t.d * excluded.d",
        "INSERT INTO t AS u (id, d) VALUES (1, 8) ON CONFLICT (id) DO UPDATE SET d = u.d * excluded.d RETURNING d, *",
        "INSERT INTO t (id, a, c) VALUES (8, 20, 7), (9, 21, 8) ON CONFLICT (a) DO UPDATE SET (c, b) = (excluded.c, excluded.b || t.b)
           WHERE excluded.c < 8 RETURNING a, b, c",
        "INSERT INTO t (a, c) VALUES (20, 7), (10, 8) ON CONFLICT (a) DO UPDATE SET c = excluded.c WHERE excluded.c > 7
           RETURNING id, c",
        "INSERT INTO t (id, b, c) VALUES (9, 'two', '2.5') ON CONFLICT (c, b) DO UPDATE SET d = 100 + id",
        "INSERT INTO t (id, a) VALUES (9, 10) ON CONFLICT (a) DO UPDATE SET id = excluded.id, d = rowid",
        "INSERT INTO t (id, a) VALUES (1, 20) ON CONFLICT (id) DO UPDATE SET a = excluded.a",
        "INSERT INTO t (id, a) VALUES (1, 20) ON CONFLICT (a) DO UPDATE SET d = 55",
        "INSERT INTO t (id, a, b, c) VALUES (1, 20, 'three', 3.5)
           ON CONFLICT (b, c) DO UPDATE SET d = 1001 ON CONFLICT (a) DO UPDATE SET d = 1002 ON CONFLICT DO UPDATE SET d = 1003",
        "INSERT INTO t (id, a, b, c) VALUES (1, 20, 'q', 3.5)
           ON CONFLICT (b, c) DO UPDATE SET d = 1001 ON CONFLICT (a) DO UPDATE SET d = 1002 ON CONFLICT DO UPDATE SET d = 1003",
        "INSERT INTO t (id) VALUES (1)
           ON CONFLICT (b, c) DO UPDATE SET d = 1001 ON CONFLICT (a) DO NOTHING ON CONFLICT DO UPDATE SET d = 1003",
        "INSERT OR REPLACE INTO t (id, a) VALUES (1, 20) ON CONFLICT (id) DO UPDATE SET d = 66",
        "INSERT OR REPLACE INTO t (id, a) VALUES (7, 20) ON CONFLICT (id) DO UPDATE SET d = 66",
        "INSERT OR IGNORE INTO t (id, a) VALUES (7, 20), (1, 1) ON CONFLICT (id) DO UPDATE SET d = 66",
        "INSERT OR IGNORE INTO t (id, a) VALUES (1, 20) ON CONFLICT (id) DO UPDATE SET a = excluded.a",
        "INSERT INTO t (id, a) VALUES (1, 5), (1, 6), (1, 7) ON CONFLICT (id) DO UPDATE SET a = excluded.a + t.a",
        "INSERT INTO t (id, a) SELECT id, a + 1 FROM t WHERE true ON CONFLICT (id) DO UPDATE SET a = excluded.a",
        "INSERT INTO t (id, d) VALUES (1, 7) ON CONFLICT (id) DO UPDATE SET d = (SELECT sum(d) FROM t) + excluded.d",
        "INSERT INTO t (id, d) VALUES (1, 7) ON CONFLICT (id) DO UPDATE SET d = (SELECT excluded.d + max(o.d) FROM t AS o)",
        "INSERT INTO t (id) VALUES (1) ON CONFLICT (d) DO NOTHING",
        "INSERT INTO t (id) VALUES (1) ON CONFLICT (b) DO UPDATE SET d = 1",
        "INSERT INTO t (id) VALUES (1) ON CONFLICT (a, id) DO UPDATE SET d = 1",
        "INSERT INTO t (id) VALUES (1) ON CONFLICT (id) DO UPDATE SET e = 1",
        "INSERT INTO t (id) VALUES (1) ON CONFLICT (id) DO UPDATE SET d = excluded.e",
    ] {
        let both = Both::filled();
        both.run("DELETE FROM t WHERE id > 3");
        both.run(sql);
        both.is_clean();
    }
}

#[test]
fn returning_answers_what_sqlite_does() {
    let both = Both::filled();
    for sql in [
        "INSERT INTO t (id, a) VALUES (7, 70), (8, 80) RETURNING *",
        "INSERT INTO t (id, a) VALUES (9, 90) RETURNING id, A, a AS called, c+1, upper(b), 'x', a*2 AS twice",
        "INSERT INTO t (id, a) VALUES (10, 100) RETURNING rowid",
        "INSERT INTO t (id, a) VALUES (11, 110) RETURNING t.a, t.a + rowid, (SELECT count(*) FROM t)",
        "INSERT INTO t (id, a) SELECT id + 100, a + 1000 FROM t ORDER BY id RETURNING id -- the end",
        "INSERT OR IGNORE INTO t (id) VALUES (1), (12) RETURNING id",
        "INSERT OR REPLACE INTO t (id, a) VALUES (13, 10) RETURNING id, a",
        "UPDATE t SET a = a + 1 WHERE id < 3 RETURNING id, a, b || '-' || c",
        "UPDATE t SET id = 77 WHERE id = 2 RETURNING id, a",
        "UPDATE t SET a = 1 WHERE false RETURNING *",
        "DELETE FROM t WHERE id IN (77, 7) RETURNING *, a IS NULL",
        "DELETE FROM t WHERE id = 8 RETURNING count(*) FILTER (WHERE true)",
        "DELETE FROM t WHERE id = 8 RETURNING max(a)",
        "UPDATE t SET a = row_number() OVER ()",
        "UPDATE t SET a = count(*)",
        "UPDATE t SET a = max(a, 1) WHERE id = 1",
        "DELETE FROM t WHERE id = 8 RETURNING e",
        "DELETE FROM t WHERE id = 8 RETURNING t.*",
        "DELETE FROM t WHERE id < 0 RETURNING *",
    ] {
        both.run(sql);
    }
    let answer = both.run_with(
        "UPDATE t SET b = ? WHERE id = ? RETURNING b, id + ?",
        &["p".into(), 8_i64.into(), 1000_i64.into()],
    );
    assert!(matches!(answer, Answer::Rows(_, rows, 1) if rows == [["p".into(), 1008_i64.into()]]));
    both.is_clean();
}

#[test]
fn expressions_reach_sqlite_as_they_were_written() {
    for expression in [
        "a IS NOT DISTINCT FROM 10",
        "a ISNULL",
        "a NOTNULL",
        "a NOT NULL",
        "a IS NULL",
        "a IS NOT NULL",
        "b = 'ONE' COLLATE NOCASE",
        "b GLOB 'o*'",
        "b NOT GLOB 'o*'",
        "b LIKE 'O_e'",
        "b NOT LIKE 'x\\%' ESCAPE '\\'",
        "json_object('x', a) -> '$.x'",
        "json_object('x', a) ->> 'x'",
        "json_array(a, b) ->> 1",
        "CASE WHEN a > 10 THEN 'big' ELSE 'small' END",
        "CASE a WHEN 10 THEN 1 WHEN 20 THEN 2 END",
        "CAST(c AS INTEGER)",
        "CAST(a AS TEXT) || 'x'",
        "CAST('12abc' AS NUMERIC)",
        "CAST(c AS VARCHAR(10))",
        "a BETWEEN 5 AND 15",
        "a NOT BETWEEN 5 AND 15",
        "a IN (10, 30)",
        "a NOT IN (10)",
        "a IN ()",
        "a IN (SELECT a FROM t WHERE d > 1)",
        "EXISTS (SELECT 1 FROM t AS o WHERE o.a > t.a)",
        "NOT EXISTS (SELECT 1)",
        "~a",
        "-a",
        "+a",
        "- -a",
        "NOT a",
        "a % 7",
        "a << 2",
        "a >> 1",
        "a & 8",
        "a | 1",
        "a == 10",
        "a <> 10",
        "a != 10",
        "a / 3",
        "a / 3.0",
        "a * (c + 1) - 2",
        "a - (c - 1)",
        "1 - 2 - 3",
        "2 * 3 % 4",
        "a < 20 = 1",
        "a OR b AND NOT c",
        "x'ab01'",
        "1e3",
        ".5",
        "5.",
        "0x1F",
        "9223372036854775807",
        "9223372036854775808",
        "-9223372036854775808",
        "1_000",
        "'it''s'",
        "'a\"b'",
        "''",
        "\"a\"",
        "[a]",
        "`a`",
        "t.a",
        "\"t\".\"a\"",
        "TRUE",
        "FALSE",
        "NULL",
        "a IS 10",
        "a IS NOT 10",
        "a IS TRUE",
        "a IS NOT FALSE",
        "(a, b) = (10, 'one')",
        "(a, b) IN (VALUES (10, 'one'))",
        "(SELECT a FROM t ORDER BY a LIMIT 1 OFFSET 1)",
        "(SELECT a FROM t ORDER BY a DESC LIMIT 1, 1)",
        "(SELECT count(*) FROM t AS o WHERE o.d <= t.d)",
        "(SELECT group_concat(b, ';') FROM (SELECT b FROM t ORDER BY b))",
        "(SELECT sum(d) FILTER (WHERE a > 10) FROM t)",
        "(SELECT count(DISTINCT d) FROM t)",
        "(SELECT max(r) FROM (SELECT row_number() OVER (ORDER BY a) AS r FROM t))",
        "(WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5) SELECT sum(i) FROM n)",
        "(SELECT 1 UNION SELECT 1 EXCEPT SELECT 2)",
        "(SELECT l.a FROM t AS l LEFT JOIN t AS r ON l.a = r.a + 10 WHERE r.a IS NULL)",
        "(SELECT value FROM json_each('[5,6]') WHERE key = 1)",
        "(VALUES (4))",
        "iif(a > 10, 'x', 'y')",
        "printf('%05d', a)",
        "format('%s-%d', b, a)",
        "strftime('%Y', '2026-05-06')",
        "date('2026-01-31', '+1 day')",
        "datetime(0, 'unixepoch')",
        "julianday('2026-01-01')",
        "substr(b, 2, 1)",
        "substring(b, 2)",
        "trim('  x ')",
        "trim('xxaxx', 'x')",
        "ltrim('  x')",
        "replace(b, 'o', '0')",
        "instr(b, 'n')",
        "length(b)",
        "upper(b) || lower(b)",
        "round(c, 1)",
        "round(c)",
        "abs(-a)",
        "max(a, d)",
        "min(a, d)",
        "coalesce(NULL, a)",
        "ifnull(NULL, b)",
        "nullif(a, 10)",
        "typeof(c)",
        "hex(b)",
        "quote(b)",
        "char(65, 66)",
        "unicode('A')",
        "likely(a)",
        "json_extract('{\"a\": [1, 2]}', '$.a[1]')",
        "json_set('{}', '$.x', a)",
        "glob('o*', b)",
        "like('o%', b)",
        "sign(-a)",
        "ceiling(c)",
        "pow(a, 2)",
        "concat(a, b)",
        "concat_ws('-', a, b)",
        "octet_length(b)",
        "/* a comment */ a",
        "CURRENT_DATE > '2000-01-01'",
        "date('now') > '2000-01-01'",
        "a COLLATE BINARY",
        "a LIKE 1 || '%'",
        "a = 10 AND b = 'one' OR d = 2",
        "NOT a = 10",
        "NOT (a = 10 OR a = 20)",
        "a > 5 AND (b = 'x' OR c > 2)",
        "a || b || c",
        "a NOT NULL AND b NOTNULL",
        "b REGEXP 'x'",
        "b IN ('one', 'two') = 1",
        "not_a_function(a)",
        "e",
        "0xFFFFFFFFFFFFFFFF",
        "a NOT GLOB 1 || '*' AND d",
        "a ISNULL OR d",
        "b < 'p' COLLATE NOCASE AND a",
        "CAST(a AS REAL) / 4",
        "CAST(a AS \"TEXT\")",
        "5 BETWEEN 1 AND a",
        "-(-a)",
        "1 IN (a, d)",
    ] {
        let both = Both::filled();
        both.run(&format!("UPDATE t SET d = d + 1 WHERE id = 1 RETURNING {expression}"));
        both.run(&format!("UPDATE t SET d = d + 1 WHERE {expression}"));
        both.run(&format!("DELETE FROM t WHERE ({expression})"));
        both.is_clean();
    }
}
