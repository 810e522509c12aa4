PREPARE later (int) AS SELECT $1;
DEALLOCATE later;
CREATE TABLE app.zones AS SELECT current_setting('DateStyle') AS style, current_setting('TimeZone') AS zone;
