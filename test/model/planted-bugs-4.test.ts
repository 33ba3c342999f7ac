import { huntShare } from './hunt.ts';

huntShare(3);
