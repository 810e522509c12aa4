SELECT 1 /* ; */ ; /* it's ; nested /* ; */ */ -- and 'this'
  	CoMmIt
;
