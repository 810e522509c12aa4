CREATE TABLE unqualified_again (id int);
INSERT INTO unqualified_again SELECT id FROM legacy.items;
