CREATE VIEW app.active_users AS
  SELECT u.*, (SELECT count(*) FROM app.orders o WHERE o.user_id = u.id) AS "number of; orders"
  FROM app.users u WHERE u.name <> '--';
CREATE MATERIALIZED VIEW app.totals AS SELECT user_id, sum(total) FROM app.orders GROUP BY 1 WITH DATA;
CREATE UNIQUE INDEX ON app.totals (user_id);
CREATE RECURSIVE VIEW app.numbers (n) AS VALUES (1) UNION ALL SELECT n + 1 FROM numbers WHERE n < 5;
