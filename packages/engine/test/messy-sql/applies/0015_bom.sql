CREATE TABLE app.with_bom (id int);
INSERT INTO app.with_bom VALUES (1);
