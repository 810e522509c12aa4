SAVEPOINT try;
CREATE TABLE app.tried (id int);
ROLLBACK TO SAVEPOINT try;
RELEASE SAVEPOINT try;
CREATE TABLE app.tried (id int, second text);
