-- a timestamp where the old tool had one
CREATE TABLE app.timestamped (id int);
