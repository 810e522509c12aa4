-- the search_path of the file before is gone: this lands in public
CREATE TABLE where_am_i (id int);
INSERT INTO public.where_am_i VALUES (1);
